"""Lists and pages of rows, of which everybody sees those of their own account only."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ORDER_VAR, ChangeList
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction
from accounts.admin.form_once import form_id, once, sent_before
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError

MOST_COUNTED = 10_000
MOST_AT_ONCE = 1_000  # rows of one act


def moment(value):
    """A moment for people: to the second, in UTC; the browser adds nothing of its own."""
    if value is None:
        return "–"
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S}")


class BoundedPaginator(Paginator):
    """Pages of a list that is never counted to its end: there may be ten million rows."""

    @cached_property
    def count(self):
        return min(self._counted, MOST_COUNTED)

    @cached_property
    def has_more(self):
        """Whether there are more rows than the pages show."""
        return self._counted > MOST_COUNTED

    @cached_property
    def _counted(self):
        # Ids only: what is annotated to a row, a subquery for each, is not asked for to count it.
        return self.object_list.values("pk")[: MOST_COUNTED + 1].count()


class OfferedList(ChangeList):
    """A list that an address filters and orders only by what the list itself offers.

    Django takes any lookup of any field of the model from the address: `?key__startswith=A` would spell a masked key
    letter by letter, and `?key__regex=` keep a server busy for ever.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            found = super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters from error
        _, _, unclaimed, *_ = found
        if unclaimed:  # by any filter of the list
            raise IncorrectLookupParameters(f"No filter of this list is called {', '.join(unclaimed)}")
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        columns = [column for column in self.params.pop(ORDER_VAR, "").split(".") if self._is_sortable(column)]
        if columns:
            self.params[ORDER_VAR] = ".".join(columns)
        return super().get_ordering(request, queryset)

    def _is_sortable(self, column: str) -> bool:
        """Whether a part of the address's order, e.g. `-2`, is the number of a column that the list sorts by."""
        number = column.removeprefix("-")
        if not number.isdecimal() or int(number) >= len(self.list_display):
            return False
        return self.list_display[int(number)] in (self.sortable_by or ())


class OfferedOnly(admin.ModelAdmin):
    """Pages that take from their address only what they offer themselves."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return OfferedList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if ERROR_FLAG in request.GET and len(request.GET) > 1:
            # Where the mark of a refusal came with another faulty lookup, Django would blame the database.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        return super().changelist_view(request, {"refused": ERROR_FLAG in request.GET, **(extra_context or {})})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Nothing: a link from outside must not fill in a form that an operator only has to send."""
        return {}


class AccountScoped(admin.RelatedFieldListFilter):
    """A filter that offers the rows of one's own account only."""

    MOST = 200

    def field_choices(self, field, request, model_admin):
        rows = model_admin.of_account(field.related_model._default_manager.all(), request, "account")
        return [(row.pk, str(row)) for row in rows[: self.MOST]]


class ConsoleForm(forms.ModelForm):
    """A form of a row whose account is known before its rules are asked."""

    known_account = None  # set by `ConsoleAdmin.get_form()`

    def account_of(self, values):
        """The account of a new row: what the form says, or that of whoever uses it."""
        return values.get("account") or self.known_account

    def _post_clean(self):
        fields = {field.name: field for field in self.instance._meta.concrete_fields}
        if self.instance._state.adding and "account" in fields:
            account = self.account_of(self.cleaned_data)
            if account is None and not fields["account"].null:
                return  # some field of the form is missing, and says so
            self.instance.account = account
        super()._post_clean()

    def _update_errors(self, errors):
        """What a rule says of a field that is not on the form stands above it."""
        if hasattr(errors, "error_dict"):
            unseen = [name for name in errors.error_dict if name not in self.fields and name != NON_FIELD_ERRORS]
            for name in unseen:
                errors.error_dict.setdefault(NON_FIELD_ERRORS, []).extend(errors.error_dict.pop(name))
        super()._update_errors(errors)


class ConsoleAdmin(OfferedOnly):
    """Rows of one account, or for superusers of all. What happens to them are `acts`, each with a page of its own.

    Attributes:
        account_path: where a row's account is.
        menu_name: what the menu and the list are called, if not by the model's plural.
        hint: what an empty list says: what to do next.
        acts: what may be done with rows, beyond changing their fields.
    """

    form = ConsoleForm
    account_path = "account"
    menu_name = ""
    hint = "There is nothing here yet."
    acts: Sequence[ConfirmedAction] = ()
    actions = None
    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count every row
    list_max_show_all = 0
    view_on_site = False

    # Who sees what ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request):
        return self.of_account(super().get_queryset(request), request)

    def of_account(self, rows, request, account_path=None):
        """Those of some rows that whoever asks may see."""
        if request.user.is_superuser:
            return rows
        return rows.filter(**{account_path or self.account_path: request.user.account_id})

    def formfield_for_foreignkey(self, field, request, **options):
        related = field.remote_field.model
        if related is not Account and hasattr(related, "account"):
            rows = options.get("queryset", related._default_manager.all())
            options["queryset"] = self.of_account(rows, request, "account")
        return super().formfield_for_foreignkey(field, request, **options)

    def get_form(self, request, obj=None, **options):
        form = super().get_form(request, obj, **options)
        form.known_account = None if request.user.is_superuser else request.user.account
        return form

    def get_exclude(self, request, obj=None):
        """The account is a superuser's to choose, once."""
        exclude = [*(super().get_exclude(request, obj) or [])]
        return exclude if request.user.is_superuser else [*exclude, "account"]

    def get_list_display(self, request):
        names = [*super().get_list_display(request)]
        return [*names, "account"] if request.user.is_superuser and self.account_path == "account" else names

    def get_list_select_related(self, request):
        names = super().get_list_select_related(request)
        return [*names, "account"] if request.user.is_superuser and names and self.account_path == "account" else names

    def get_list_filter(self, request):
        names = [*super().get_list_filter(request)]
        return [*names, "account"] if request.user.is_superuser and self.account_path == "account" else names

    def has_delete_permission(self, request, obj=None):
        return False

    def save_model(self, request, row, form, change):
        """By the row's own rules, as the API does it."""
        if not change:
            row.validate_and_save()
        elif form.changed_data:
            row.save_changes(*form.changed_data)

    # Acts ------------------------------------------------------------------------------------------------------------

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        acts = [
            path(f"acts/{act.name}/", wrap(self.act_view), {"act": act}, name=f"{name}_{act.name}") for act in self.acts
        ]
        return [*acts, *super().get_urls()]

    def act_url(self, act, *rows):
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{act.name}")
        return f"{address}?{'&'.join(f'id={row.pk}' for row in rows)}"

    def allowed_acts(self, request, row=None):
        """The acts that whoever asks may do; with a row, those that make sense for it."""
        allowed = [act for act in self.acts if act.is_allowed(request)]
        if row is None:
            return allowed
        return [act for act in allowed if act.applies_to(row) and self.may_act_on(request, row, act)]

    def may_act_on(self, request: HttpRequest, row: Any, act: ConfirmedAction) -> bool:
        """Whether the operator may do an act to a row that they see; for subclasses."""
        return True

    def get_actions(self, request):
        """The acts that may be done to several rows, as actions of the list; each leads to its page."""
        if "_popup" in request.GET:
            return {}
        return {
            act.name: (self._chosen(act), act.name, act.label) for act in self.allowed_acts(request) if act.for_many
        }

    def _chosen(self, act):
        def go(modeladmin, request, rows):
            chosen = list(rows[: MOST_AT_ONCE + 1])
            if len(chosen) > MOST_AT_ONCE:
                self.message_user(request, f"Choose {MOST_AT_ONCE:,} rows at most.", messages.ERROR)
                return None
            return HttpResponseRedirect(self.act_url(act, *chosen))

        return go

    def act_view(self, request, act):
        """The page that says what an act will do, and does it."""
        if not self.has_view_permission(request) or not act.is_allowed(request):
            raise PermissionDenied
        if answer := sent_before(request):
            return answer
        ids = list(dict.fromkeys(filter(None, map(parse_uuid, request.GET.getlist("id")))))
        # In the order in which a pool hands out keys: two transactions that hold several never wait for each other.
        rows = list(self.get_queryset(request).filter(pk__in=ids[: MOST_AT_ONCE + 1]).order_by("pk"))
        if not rows or len(rows) != len(ids):
            raise Http404
        if not all(self.may_act_on(request, row, act) for row in rows):
            raise PermissionDenied
        form = act.form_class(request.POST if request.method == "POST" else None, **act.form_options(rows))
        problem = ""

        def perform() -> HttpResponse:
            answer = act.do(self, request, rows, form.cleaned_data)
            for row in rows:
                self.log_change(request, row, act.done)
            return answer

        if request.method == "POST" and form.is_valid():
            try:
                return once(request, perform) if act.once else perform()
            except DomainError as error:
                problem = error.detail
        back = self._page_of(rows[0]) if len(rows) == 1 else reverse(f"admin:{self._name}_changelist")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": act.title(rows),
            "button": act.label,
            "danger": act.danger,
            "rows": rows,
            "consequences": act.consequences(rows),
            "form": form,
            "problem": problem,
            "back": back,
            "once": form_id(request) if act.once else None,
        }
        return TemplateResponse(request, act.template, context, status=422 if problem else 200)

    def changelist_view(self, request, extra_context=None):
        title = self.menu_name or self.opts.verbose_name_plural.capitalize()
        return super().changelist_view(request, {"title": title, "hint": self.hint, **(extra_context or {})})

    @property
    def _name(self):
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _page_of(self, row):
        return reverse(f"admin:{self._name}_change", args=[row.pk])

    def render_change_form(self, request, context, add=False, change=False, form_url="", obj=None):
        if obj is not None:
            context["title"], context["subtitle"] = str(obj), None
            context["acts"] = [(act, self.act_url(act, obj)) for act in self.allowed_acts(request, obj)]
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that are looked at here, never edited."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, row=None):
        return False
