from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, actor_of
from accounts.admin.base import ReadOnlyAdmin, moment
from accounts.models import Token
from accounts.permissions import Change, may_change


class Revoke(ConfirmedAction):
    name, label, done, permission, danger = "revoke", "Revoke", "Revoked", "accounts.delete_token", True
    change = Change.REVOKE

    def consequences(self, tokens):
        return ["Requests with it are refused at once. It cannot be brought back."]

    def apply(self, token, audit, values):
        token.delete()

    def next_page(self, admin, rows):
        return reverse("admin:accounts_token_changelist")


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """What authenticates in the API. Tokens are made on the page of whom they speak for, and shown once."""

    acts = [Revoke()]
    hint = "There is no token yet. Make one on the page of a product or a user."
    list_display = ["label", "kind", "speaks_for", "expires", "since"]
    list_select_related = ["account"]
    search_fields = ["name"]
    fields = ["name", "kind", "speaks_for", "expires", "since"]
    readonly_fields = ["name", "kind", "speaks_for", "expires", "since"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_roles().prefetch_related("bearer")

    def may_act_on(self, request: HttpRequest, token: Any, act: ConfirmedAction) -> bool:
        return may_change(actor_of(request), token.bearer, act.change)

    @admin.display(description="name", ordering="name")
    def label(self, token):
        return token.name or "(no name)"

    @admin.display(description="kind")
    def kind(self, token):
        return token.kind.replace("-", " ")

    @admin.display(description="speaks for")
    def speaks_for(self, token):
        if token.bearer is None:
            return ""
        opts = token.bearer._meta
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[token.bearer_id])
        return format_html('<a href="{}">{}</a>', address, token.bearer)

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token):
        return moment(token.expiry) if token.expiry else "never"

    @admin.display(description="made", ordering="id")
    def since(self, token):
        return moment(token.created)
