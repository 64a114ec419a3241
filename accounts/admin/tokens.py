from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, RowAction, actor_of
from accounts.admin.base import ConsoleAdmin, ReadOnlyAdmin, format_time
from accounts.audit import AuditContext
from accounts.models import Token
from accounts.permissions import Change, may_change


class Revoke(RowAction):
    name, label, past_tense, permission, danger = "revoke", "Revoke", "Revoked", "accounts.delete_token", True
    change = Change.REVOKE

    def consequences(self, rows: Sequence[Token]) -> list[str]:
        return ["Requests with it are refused at once. It cannot be brought back."]

    def apply(self, row: Token, audit: AuditContext, values: dict[str, Any]) -> None:
        row.delete()

    def next_page(self, admin: ConsoleAdmin, rows: Sequence[Any]) -> str:
        return admin.changelist_url()


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens of the API. A token is created on the page of its bearer, and its text is shown once."""

    confirmed_actions = [Revoke()]
    hint = "There is no token yet. Make one on the page of a product or a user."
    list_display = ["label", "kind", "speaks_for", "expires", "since"]
    list_select_related = ["account"]
    search_fields = ["name"]
    fields = ["name", "kind", "speaks_for", "expires", "since"]
    readonly_fields = ["name", "kind", "speaks_for", "expires", "since"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        return super().get_queryset(request).with_roles().prefetch_related("bearer")

    def may_run(self, request: HttpRequest, row: Token, action: ConfirmedAction) -> bool:
        return may_change(actor_of(request), row.bearer, action.change)

    @admin.display(description="name", ordering="name")
    def label(self, token: Token) -> str:
        return token.name or "(no name)"

    @admin.display(description="kind")
    def kind(self, token: Token) -> str:
        return token.kind.replace("-", " ")

    @admin.display(description="speaks for")
    def speaks_for(self, token: Token) -> str:
        if token.bearer is None:
            return ""
        opts = token.bearer._meta
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[token.bearer_id])
        return format_html('<a href="{}">{}</a>', url, token.bearer)

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token: Token) -> str:
        return format_time(token.expiry) if token.expiry else "never"

    @admin.display(description="made", ordering="id")
    def since(self, token: Token) -> str:
        return format_time(token.created)
