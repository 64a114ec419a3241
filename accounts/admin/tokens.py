from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts import bearers
from accounts.admin.actions import ConfirmedAction, RowAction, actor_of, operator_of
from accounts.admin.add_pages import AddPage
from accounts.admin.base import ConsoleAdmin, ReadOnlyAdmin, format_time
from accounts.admin.form_once import run_form_once
from accounts.admin.token_pages import TokenForm, create_token
from accounts.audit import AuditContext
from accounts.models import Token
from accounts.permissions import Change, may_change
from keygen_site.jsonapi.errors import DomainError

MAX_CHOICES = 1_000  # products in the form; others have the button on their own page


class Revoke(RowAction):
    name, label, past_tense, permission, danger = "revoke", "Revoke", "Revoked", "accounts.delete_token", True
    change = Change.REVOKE

    def title(self, rows: Sequence[Token]) -> str:
        return f"Revoke the token {rows[0]}?" if len(rows) == 1 else f"Revoke {len(rows):,} tokens?"

    def consequences(self, rows: Sequence[Token]) -> list[str]:
        lines = ["Requests with it fail from now on. A revoked token can't be restored."]
        if len(rows) == 1 and rows[0].last_used:
            lines.append(f"It was last used on {rows[0].last_used:%-d %b %Y, %H:%M} UTC.")
        return lines if len(rows) != 1 or rows[0].last_used else [*lines, "It was never used."]

    def apply(self, row: Token, audit: AuditContext, values: dict[str, Any]) -> None:
        row.delete()

    def next_page(self, admin: ConsoleAdmin, rows: Sequence[Any]) -> str:
        return admin.changelist_url()


class NewTokenForm(TokenForm):
    """Asks also for the product, or the operator, that the token belongs to."""

    bearer = forms.ChoiceField(label="Belongs to", help_text="Requests with the token come from this product.")

    field_order = ("bearer", "name", "expiry")

    def __init__(self, data: Any, choices: dict[str, tuple[str, Any]]) -> None:
        """
        Args:
            choices: the labels and the rows to choose from, by the value in the form.
        """
        super().__init__(data)
        self.bearers = choices
        self.fields["bearer"].choices = [(key, label) for key, (label, _) in choices.items()]  # type: ignore[attr-defined]

    def clean_bearer(self) -> Any:
        _, row = self.bearers[self.cleaned_data["bearer"]]
        return row


@admin.register(Token)
class TokenAdmin(AddPage, ReadOnlyAdmin):
    """Tokens of the API. The text of a token is shown once, when it is created."""

    confirmed_actions = [Revoke()]
    menu_name = "API tokens"
    hint = "No API tokens yet. A shop needs one to hand out keys: create it with “New token”."
    list_display = ["label", "belongs_to", "kind", "used", "expires", "created_at"]
    list_select_related = ["account"]
    search_fields = ["name"]
    fields = ["name", "kind", "belongs_to", "used", "expires", "created_at"]
    readonly_fields = ["name", "kind", "belongs_to", "used", "expires", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        return super().get_queryset(request).with_roles().prefetch_related("bearer")

    def may_run(self, request: HttpRequest, row: Token, action: ConfirmedAction) -> bool:
        return may_change(actor_of(request), row.bearer, action.change)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).has_perm("accounts.add_token")

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Create a token of a product, or of the operator."""
        form = NewTokenForm(request.POST if request.method == "POST" else None, self._choices(request))
        problem = ""
        if form.is_valid():
            bearer = form.cleaned_data["bearer"]

            def create() -> HttpResponse:
                back = self.changelist_url()
                return create_token(request, bearer, form.cleaned_data, section=self.section, back=back)

            try:
                return run_form_once(request, create)
            except DomainError as error:
                problem = error.detail
        return self.render_add_page(
            request,
            form,
            title="New API token",
            button="Create token",
            consequences=["Anyone who has the token can hand out keys. It is shown once, on the next page."],
            problem=problem,
            status=422 if problem else 200,
        )

    def _choices(self, request: HttpRequest) -> dict[str, tuple[str, Any]]:
        """The products of the operator, and the operator, for `NewTokenForm`."""
        operator = operator_of(request)
        choices: dict[str, tuple[str, Any]] = {}
        for each in bearers.types().values():
            if not each.has_only_tokens:
                continue
            rows: Any = self.restrict_to_account(each.model._default_manager.all(), request, "account")
            for row in rows.select_related("account")[:MAX_CHOICES]:
                label = f"{row.account} · {row}" if operator.is_superuser else str(row)
                choices[f"{each.model._meta.model_name} {row.pk}"] = (label, row)
        if not operator.is_superuser:
            choices[f"user {operator.pk}"] = (f"You ({operator})", operator)
        return choices

    @admin.display(description="name", ordering="name")
    def label(self, token: Token) -> str:
        return token.name or "(no name)"

    @admin.display(description="kind")
    def kind(self, token: Token) -> str:
        return token.kind.replace("-", " ")

    @admin.display(description="belongs to")
    def belongs_to(self, token: Token) -> str:
        if token.bearer is None:
            return ""
        opts = token.bearer._meta
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[token.bearer_id])
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, token.bearer)

    @admin.display(description="last used")
    def used(self, token: Token) -> str:
        return format_time(token.last_used) if token.last_used else "never"

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token: Token) -> str:
        return format_time(token.expiry) if token.expiry else "never"

    @admin.display(description="created", ordering="id")
    def created_at(self, token: Token) -> str:
        return format_time(token.created)
