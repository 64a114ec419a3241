"""Base classes of the console's lists and pages. Operators see the rows of their own account only."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR, ChangeList
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import NON_FIELD_ERRORS, BadRequest, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import connection, models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, operator_of
from accounts.admin.bulk_actions import (
    MAX_ROWS_AT_ONCE,
    ChosenRows,
    find_choice,
    start_bulk_action,
    store_choice,
    with_filters,
)
from accounts.admin.csv_lists import CsvListMixin
from accounts.admin.form_once import form_id, replay_if_sent, run_form_once
from accounts.admin.recording import RecordingMixin
from accounts.admin.sealed_text import search_url
from accounts.admin.strict_lists import StrictChangeList
from accounts.models import Account, BulkAction
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError

MAX_COUNTED_ROWS = 10_000  # of a list


def format_time(timestamp: datetime | None) -> str:
    """A timestamp as HTML: to the minute, in UTC. The script shows the local time instead, and UTC on a click."""
    if timestamp is None:
        return "–"
    utc = timestamp.astimezone(UTC)
    seconds, minutes = f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:%-d %b %Y, %H:%M} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), seconds, minutes)


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


class StrictAdmin(CsvListMixin, RecordingMixin, admin.ModelAdmin):
    """Pages that ignore parameters in the URL which they do not offer themselves."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return StrictChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and SEARCH_VAR in request.POST:
            return HttpResponseRedirect(search_url(request))
        if ERROR_FLAG in request.GET and len(request.GET) > 1:
            # If another invalid look-up follows the error flag, Django shows a database error.
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
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        if "seen" in self.fields:
            self.initial["seen"] = self._version()

    @property
    def changed_data(self) -> list[str]:
        return [name for name in super().changed_data if name != "seen"]

    def _version(self) -> str:
        """The time of the last change of the row; a form that was opened before it must not overwrite it."""
        updated = getattr(self.instance, "updated", None)
        return updated.isoformat() if updated and not self.instance._state.adding else ""

    def clean(self) -> dict[str, Any] | None:
        """Refuse a form that was opened before the row was changed by someone else, or in another tab."""
        values = super().clean()
        seen, version = self.cleaned_data.get("seen"), self._version()
        if not seen or seen == version:
            return values
        now = [
            f"{self.fields[name].label} is now “{self[name].initial}”"
            for name in self.changed_data
            if name in self.fields
        ]
        data = cast(Any, self.data).copy()
        data[self.add_prefix("seen")] = version  # saving again overwrites it, knowingly
        self.data = data
        raise ValidationError(
            "This was changed in another tab, or by someone else, while you had it open. Nothing was saved. "
            f"{'; '.join(now)}{'. ' if now else ''}Save again to replace that with the values below.",
            code="changed_meanwhile",
        )

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
        hint: the text of an empty list: the next step.
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

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        formfield = super().formfield_for_dbfield(db_field, request, **kwargs)
        if formfield and isinstance(formfield.widget, RelatedFieldWidgetWrapper):
            formfield.widget = formfield.widget.widget  # without the icons that open windows
        return formfield

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        operator = operator_of(request)
        form.known_account = None if operator.is_superuser else operator.account
        return form

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of a page. That of a form which is sent is locked in a transaction: it may have changed meanwhile."""
        if (
            request.method == "POST"
            and connection.in_atomic_block
            and (uuid := parse_uuid(object_id))
            and from_field is None
        ):
            return self.get_queryset(request).select_for_update(of=("self",)).filter(pk=uuid).first()
        return super().get_object(request, object_id, from_field)

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
            try:
                chosen = store_choice(request, self.model, action, rows)
            except DomainError as error:
                self.message_user(request, error.detail, messages.ERROR)
                return None
            return HttpResponseRedirect(f"{reverse(f'admin:{self._name}_{action.name}')}?chosen={chosen.pk}")

        return redirect

    def _rows_of_action(
        self, request: HttpRequest, action: ConfirmedAction
    ) -> tuple[BulkAction | None, Sequence[models.Model]]:
        """The rows of the URL of an action's page: those chosen in the list, or those of its ids.

        Raises:
            Http404: there is no such choice or row, or the operator may not see it.
        """
        if id := parse_uuid(request.GET.get("chosen", "")):
            chosen = find_choice(request, id, self.model, action)
            queryset = self.get_queryset(request)
            ids = chosen.row_ids()
            if len(ids) > MAX_ROWS_AT_ONCE:
                return chosen, ChosenRows(queryset, ids)
            if rows := list(queryset.filter(pk__in=ids).order_by("pk")):
                return chosen, rows
            raise Http404
        ids = list(dict.fromkeys(filter(None, map(parse_uuid, request.GET.getlist("id")))))
        # In the order in which a pool hands out keys, so that two transactions that lock several cannot deadlock.
        rows = list(self.get_queryset(request).filter(pk__in=ids[: MAX_ROWS_AT_ONCE + 1]).order_by("pk"))
        if not rows or len(rows) != len(ids):
            raise Http404
        return None, rows

    def action_view(self, request: HttpRequest, action: ConfirmedAction) -> HttpResponse:
        """The confirmation page of an action; a POST runs it."""
        if not self.has_view_permission(request) or not action.is_allowed(request):
            raise PermissionDenied
        if response := replay_if_sent(request):
            return response
        chosen, rows = self._rows_of_action(request, action)
        if chosen and chosen.started:
            return HttpResponseRedirect(reverse("admin:bulk_action", args=[chosen.pk]))
        if len(rows) > 1 and not action.for_many:
            raise Http404
        # Of many rows, the action asks for each when it comes to it.
        is_many = len(rows) > MAX_ROWS_AT_ONCE
        if not is_many and not all(self.may_run(request, row, action) for row in rows):
            raise PermissionDenied
        form = action.form_class(request.POST if request.method == "POST" else None, **action.form_options(rows))
        for name in action.forbidden_fields(request):
            form.fields.pop(name, None)
        problem = unsafe = ""

        def run() -> HttpResponse:
            if is_many and chosen:
                return start_bulk_action(request, chosen, form.cleaned_data)
            response = action.run(self, request, rows, form.cleaned_data)
            for row in rows:
                self.log_action(request, row, action)
            if chosen and isinstance(response, HttpResponseRedirect) and response.url == self.changelist_url():
                response = HttpResponseRedirect(with_filters(response.url, chosen.filters))
            return response

        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, run) if action.runs_once else run()
            except DomainError as error:
                problem = error.detail
                _, rows = self._rows_of_action(request, action)  # as they are now
        if len(rows) == 1:
            unsafe = action.unsafe_because(rows[0])
        list_url = with_filters(self.changelist_url(), chosen.filters if chosen else "")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "section": self.section,
            "list_url": list_url,
            "title": action.title(rows),
            "button": action.button(rows),
            "danger": action.danger,
            "rows": rows,
            "consequences": action.consequences(rows),
            "form": form,
            "problem": problem,
            "unsafe": unsafe,
            "back": self.change_url(rows[0]) if len(rows) == 1 else list_url,
            "once": form_id(request) if action.runs_once else None,
        }
        return TemplateResponse(request, action.template, context, status=422 if problem else 200)

    # Pages -----------------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.section, "hint": self.hint, **(extra_context or {})})

    @property
    def section(self) -> str:
        """The title of the list."""
        return self.menu_name or str(self.opts.verbose_name_plural).capitalize()

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
        context["section"] = self.section
        if obj is None:
            context["title"] = f"New {self.opts.verbose_name}"
        else:
            context["title"], context["subtitle"] = str(obj), None
            actions = [action for action in self.allowed_actions(request, obj) if action.in_header]
            reasons = [(action, action.unsafe_because(obj)) for action in actions]
            context["action_links"] = [(action, self.action_url(action, obj)) for action, why in reasons if not why]
            context["unsafe_actions"] = [(action, why) for action, why in reasons if why]
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyAdmin(ConsoleAdmin):
    """Rows that the console shows but does not edit."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
