"""Base classes of the console's lists and pages. Operators see the rows of their own account only."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ORDER_VAR, ChangeList
from django.core.exceptions import NON_FIELD_ERRORS, BadRequest, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, operator_of
from accounts.admin.form_once import form_id, replay_if_sent, run_form_once
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError

MAX_COUNTED_ROWS = 10_000  # of a list
MAX_SELECTED_ROWS = 1_000  # of an action


def format_time(timestamp: datetime | None) -> str:
    """A timestamp as HTML: to the second, in UTC."""
    if timestamp is None:
        return "–"
    return format_html('<time datetime="{}">{}</time>', timestamp.isoformat(), f"{timestamp:%Y-%m-%d %H:%M:%S}")


class BoundedPaginator(Paginator):
    """Pages of a list of up to ten million rows, of which only MAX_COUNTED_ROWS are counted and shown."""

    @cached_property
    def count(self) -> int:
        return min(self._counted, MAX_COUNTED_ROWS)

    @cached_property
    def has_more(self) -> bool:
        """Whether there are more rows than the pages show."""
        return self._counted > MAX_COUNTED_ROWS

    @cached_property
    def _counted(self) -> int:
        # Only ids: counting would otherwise run the subqueries that are annotated to each row.
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.values("pk")[: MAX_COUNTED_ROWS + 1].count()


class StrictChangeList(ChangeList):
    """A list whose URL filters and orders only by the filters and columns that the list offers.

    Django accepts look-ups of any field of the model in the URL: `?key__startswith=A` would reveal a masked key letter
    by letter, and `?key__regex=` could keep the database busy.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            filters = super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters from error
        _, _, unused, *_ = filters
        if unused:  # by any filter of the list
            raise IncorrectLookupParameters(f"No filter of this list is called {', '.join(unused)}")
        return filters

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        columns = [column for column in self.params.pop(ORDER_VAR, "").split(".") if self._is_sortable(column)]
        if columns:
            self.params[ORDER_VAR] = ".".join(columns)
        return super().get_ordering(request, queryset)

    def _is_sortable(self, column: str) -> bool:
        """Whether a part of the order in the URL, e.g. `-2`, is the number of a column that the list sorts by."""
        number = column.removeprefix("-")
        if not number.isdecimal() or int(number) >= len(self.list_display):
            return False
        return self.list_display[int(number)] in (self.sortable_by or ())


class StrictAdmin(admin.ModelAdmin):
    """Pages that ignore parameters in the URL which they do not offer themselves."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return StrictChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if ERROR_FLAG in request.GET and len(request.GET) > 1:
            # With another invalid look-up beside the error flag, Django would show a database error.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        return super().changelist_view(request, {"refused": ERROR_FLAG in request.GET, **(extra_context or {})})

    def response_action(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse | None:
        """Run the chosen action on the chosen rows.

        Raises:
            BadRequest: the id of a row is malformed, on which Django would fail.
        """
        try:
            for text in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(text)
        except ValidationError:
            raise BadRequest from None
        return super().response_action(request, *args, **options)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """No initial data: a link from outside must not fill in a form that an operator only has to send."""
        return {}


class AccountScopedFilter(admin.RelatedFieldListFilter):
    """A filter that offers only rows of the operator's account."""

    MAX_CHOICES = 200

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        rows = model_admin.restrict_to_account(field.related_model._default_manager.all(), request, "account")
        return [(row.pk, str(row)) for row in rows[: self.MAX_CHOICES]]


class ConsoleForm(forms.ModelForm):
    """A form that sets the account of a new row before the row's rules are checked."""

    known_account: Account | None = None  # set by `ConsoleAdmin.get_form()`

    def account_of(self, values: dict[str, Any]) -> Account | None:
        """The account of a new row: that of the form, or the operator's."""
        return values.get("account") or self.known_account

    def _post_clean(self) -> None:
        fields = {field.name: field for field in self.instance._meta.concrete_fields}
        if self.instance._state.adding and "account" in fields:
            account = self.account_of(self.cleaned_data)
            if account is None and not fields["account"].null:
                return  # a required field is empty, which is an error of its own
            self.instance.account = account
        super()._post_clean()  # type: ignore[misc]

    def _update_errors(self, errors: Any) -> None:
        """Show errors of fields that are not on the form above it."""
        if hasattr(errors, "error_dict"):
            unseen = [name for name in errors.error_dict if name not in self.fields and name != NON_FIELD_ERRORS]
            for name in unseen:
                errors.error_dict.setdefault(NON_FIELD_ERRORS, []).extend(errors.error_dict.pop(name))
        super()._update_errors(errors)  # type: ignore[misc]


class ConsoleAdmin(StrictAdmin):
    """Rows of the operator's account; for superusers, of all accounts. Actions have confirmation pages.

    Attributes:
        account_path: the look-up that leads to a row's account.
        menu_name: the title in the menu and of the list, by default the model's plural.
        hint: the text of an empty list: what to do next.
        confirmed_actions: the actions on rows, in addition to changing their fields.
    """

    form: Any = ConsoleForm
    account_path: ClassVar[str] = "account"
    menu_name: ClassVar[str] = ""
    hint: ClassVar[str] = "There is nothing here yet."
    confirmed_actions: ClassVar[Sequence[ConfirmedAction]] = ()
    actions = None
    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count every row
    list_max_show_all = 0
    view_on_site = False

    # Visibility ------------------------------------------------------------------------------------------------------

    # The results are `Any`, because querysets of our models have methods of their own.
    def get_queryset(self, request: HttpRequest) -> Any:
        return self.restrict_to_account(super().get_queryset(request), request)

    def restrict_to_account(self, rows: Any, request: HttpRequest, account_path: str | None = None) -> Any:
        """The rows that the operator may see."""
        operator = operator_of(request)
        if operator.is_superuser:
            return rows
        return rows.filter(**{account_path or self.account_path: operator.account_id})

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        related = db_field.remote_field.model
        if related is not Account and hasattr(related, "account"):
            rows = kwargs.get("queryset", related._default_manager.all())
            kwargs["queryset"] = self.restrict_to_account(rows, request, "account")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        operator = operator_of(request)
        form.known_account = None if operator.is_superuser else operator.account
        return form

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the account, which only a superuser chooses, for a new row."""
        exclude = [*(super().get_exclude(request, obj) or [])]
        return exclude if operator_of(request).is_superuser else [*exclude, "account"]

    def get_list_display(self, request: HttpRequest) -> Any:
        names = [*super().get_list_display(request)]
        return [*names, "account"] if self._shows_account(request) else names

    def get_list_select_related(self, request: HttpRequest) -> Any:
        names: Any = super().get_list_select_related(request)
        return [*names, "account"] if names and self._shows_account(request) else names

    def get_list_filter(self, request: HttpRequest) -> Any:
        names = [*super().get_list_filter(request)]
        return [*names, "account"] if self._shows_account(request) else names

    def _shows_account(self, request: HttpRequest) -> bool:
        return operator_of(request).is_superuser and self.account_path == "account"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a row by its own rules, as the API does."""
        if not change:
            obj.validate_and_save()
        elif form.changed_data:
            obj.save_changes(*form.changed_data)

    # Actions ---------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages = [
            path(f"acts/{action.name}/", wrap(self.action_view), {"action": action}, name=f"{self._name}_{action.name}")
            for action in self.confirmed_actions
        ]
        return [*pages, *super().get_urls()]

    def action_url(self, action: ConfirmedAction, *rows: models.Model) -> str:
        """The URL of an action's page for some rows."""
        url = reverse(f"admin:{self._name}_{action.name}")
        return f"{url}?{'&'.join(f'id={row.pk}' for row in rows)}"

    def allowed_actions(self, request: HttpRequest, row: Any = None) -> list[ConfirmedAction]:
        """The actions that the operator may run; with a row, those that make sense for it."""
        allowed = [action for action in self.confirmed_actions if action.is_allowed(request)]
        if row is None:
            return allowed
        return [action for action in allowed if action.applies_to(row) and self.may_run(request, row, action)]

    def may_run(self, request: HttpRequest, row: Any, action: ConfirmedAction) -> bool:
        """Whether the operator may run an action on a row that they see. Override it."""
        return True

    def get_actions(self, request: HttpRequest) -> Any:
        """The actions on several rows, as Django's actions of the list; each leads to its page."""
        if "_popup" in request.GET:
            return {}
        return {
            action.name: (self._redirect_to(action), action.name, action.label)
            for action in self.allowed_actions(request)
            if action.for_many
        }

    def _redirect_to(self, action: ConfirmedAction) -> Callable[..., HttpResponseRedirect | None]:
        def redirect(modeladmin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseRedirect | None:
            selected = list(rows[: MAX_SELECTED_ROWS + 1])
            if len(selected) > MAX_SELECTED_ROWS:
                self.message_user(request, f"Choose {MAX_SELECTED_ROWS:,} rows at most.", messages.ERROR)
                return None
            return HttpResponseRedirect(self.action_url(action, *selected))

        return redirect

    def action_view(self, request: HttpRequest, action: ConfirmedAction) -> HttpResponse:
        """The confirmation page of an action; a POST runs it."""
        if not self.has_view_permission(request) or not action.is_allowed(request):
            raise PermissionDenied
        if response := replay_if_sent(request):
            return response
        ids = list(dict.fromkeys(filter(None, map(parse_uuid, request.GET.getlist("id")))))
        # In the order in which a pool hands out keys, so that two transactions that lock several cannot deadlock.
        rows = list(self.get_queryset(request).filter(pk__in=ids[: MAX_SELECTED_ROWS + 1]).order_by("pk"))
        if not rows or len(rows) != len(ids):
            raise Http404
        if not all(self.may_run(request, row, action) for row in rows):
            raise PermissionDenied
        form = action.form_class(request.POST if request.method == "POST" else None, **action.form_options(rows))
        problem = ""

        def run() -> HttpResponse:
            response = action.run(self, request, rows, form.cleaned_data)
            for row in rows:
                self.log_change(request, row, action.past_tense)
            return response

        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, run) if action.runs_once else run()
            except DomainError as error:
                problem = error.detail
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": action.title(rows),
            "button": action.label,
            "danger": action.danger,
            "rows": rows,
            "consequences": action.consequences(rows),
            "form": form,
            "problem": problem,
            "back": self.change_url(rows[0]) if len(rows) == 1 else self.changelist_url(),
            "once": form_id(request) if action.runs_once else None,
        }
        return TemplateResponse(request, action.template, context, status=422 if problem else 200)

    # Pages -----------------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = self.menu_name or str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, "hint": self.hint, **(extra_context or {})})

    @property
    def _name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def change_url(self, row: models.Model) -> str:
        """The URL of a row's page."""
        return reverse(f"admin:{self._name}_change", args=[row.pk])

    def changelist_url(self) -> str:
        """The URL of the list."""
        return reverse(f"admin:{self._name}_changelist")

    def render_change_form(
        self,
        request: Any,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context["title"], context["subtitle"] = str(obj), None
            actions = self.allowed_actions(request, obj)
            context["action_links"] = [(action, self.action_url(action, obj)) for action in actions]
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that the console shows but does not edit."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
