from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.base import AccountScopedFilter, ReadOnlyAdmin, format_time
from accounts.admin.operators import operator_name, with_operators
from keygen_site.db.uuids import parse_uuid
from licensing.models import Policy
from pools.admin.actions import WithdrawRest, describe_left
from pools.admin.keys import is_search
from pools.models import Key, KeyEvent, KeyImport
from pools.models.key_events import NEWEST_FIRST, RARE_EVENTS, KeyEventQuerySet


@admin.register(KeyImport)
class KeyImportAdmin(ReadOnlyAdmin):
    """Imports. A new one is started on the page of its policy."""

    confirmed_actions = [WithdrawRest()]
    hint = "Nothing was imported yet. An import begins on the page of a policy with a pool."
    list_display = ["label", "of_policy", "added", "rejected", "by", "when"]
    list_select_related = ["policy"]
    list_filter = [("policy", AccountScopedFilter)]
    search_fields = ["name", "source", "operator"]
    search_help_text = "Part of the name, of the file's name, or who brought it"
    fields = ["name", "source", "of_policy", "added", "rejected", "left", "by", "operator_id", "when", "keys"]
    readonly_fields = ["of_policy", "left", "by", "when", "keys"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_operators(super().get_queryset(request).filter(loading=None))

    @admin.display(description="import")
    def label(self, key_import: KeyImport) -> str:
        return str(key_import)

    @admin.display(description="pool")
    def of_policy(self, key_import: KeyImport) -> str:
        url = reverse("admin:licensing_policy_change", args=[key_import.policy_id])
        return format_html('<a href="{}">{}</a>', url, key_import.policy)

    @admin.display(description="still waiting")
    def left(self, key_import: KeyImport) -> str:
        return describe_left(key_import)

    @admin.display(description="added by", ordering="operator")
    def by(self, key_import: KeyImport) -> str:
        return operator_name(key_import) or f"{key_import.bearer_type} {key_import.bearer_id or ''}"

    @admin.display(description="when", ordering="id")
    def when(self, key_import: KeyImport) -> str:
        return format_time(key_import.created)

    @admin.display(description="keys")
    def keys(self, key_import: KeyImport) -> str:
        url = reverse("admin:pools_key_changelist")
        query = f"?policy={key_import.policy_id}&import={key_import.pk}&state="
        links = [
            format_html('<a href="{}{}{}">{}</a>', url, query, state, state)
            for state in ("available", "popped", "withdrawn")
        ]
        return format_html("{} · {} · {}", *links)


class EventFilter(admin.ChoicesFieldListFilter):
    """The kind of event. Rare kinds have an index of their own."""

    def queryset(self, request: Any, queryset: Any) -> Any:
        events: Any = super().queryset(request, queryset)
        if not self.lookup_val or not set(self.lookup_val) <= set(RARE_EVENTS):
            return events
        return (events.across_accounts() if request.user.is_superuser else events).rare()


class EventPolicyFilter(AccountScopedFilter):
    """The pools of the ledger."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "pool"


@admin.register(KeyEvent)
class KeyEventAdmin(ReadOnlyAdmin):
    """The ledger, newest first."""

    menu_name = "Ledger"
    hint = "Nothing has happened to a key yet. What is popped, issued, returned, withdrawn or revealed stands here."
    list_display = ["when", "what", "key_link", "pool", "license_link", "reference", "by"]
    list_filter = [("event", EventFilter), ("policy", EventPolicyFilter)]
    search_fields = ["reference"]
    search_help_text = "A reference, a whole key, or the id of a key or license"
    sortable_by = ()
    fields = ["when", "what", "key_link", "pool", "license_link", "reference", "by", "operator_id", "request_id"]
    readonly_fields = ["when", "what", "key_link", "pool", "license_link", "reference", "by", "request_id"]

    def get_queryset(self, request: HttpRequest) -> KeyEventQuerySet:
        events: Any = with_operators(super().get_queryset(request).select_related("policy", "license", "key"))
        return events.prefetch_related("account") if request.user.is_superuser else events

    def get_ordering(self, request: HttpRequest) -> list[Any] | tuple[Any, ...]:
        return NEWEST_FIRST if is_search(request) else ["-id"]

    def get_search_results(self, request: HttpRequest, events: Any, text: str) -> tuple[QuerySet[Any], bool]:
        text = text.strip()
        if not text:
            return events, False
        if request.user.is_superuser:
            events = events.across_accounts()
        if uuid := parse_uuid(text):
            key = self.restrict_to_account(Key.objects.filter(pk=uuid), request).first()
            return (events.filter(key_digest=key.digest) if key else events.filter(license=uuid)), False
        of_text = events.with_key(text)
        return (of_text if of_text.exists() else events.filter(reference=text).exclude(reference="")), False

    @admin.display(description="when")
    def when(self, event: KeyEvent) -> str:
        return format_time(event.created)

    @admin.display(description="what")
    def what(self, event: KeyEvent) -> str:
        return format_html('<span class="state state-{0}">{0}</span>', event.event)

    @admin.display(description="key")
    def key_link(self, event: KeyEvent) -> str:
        if event.key_id is None:
            return ""
        if event.key is None:
            return "deleted"
        url = reverse("admin:pools_key_change", args=[event.key_id])
        return format_html('<a href="{}"><code>{}</code></a>', url, event.key.masked)

    @admin.display(description="pool")
    def pool(self, event: KeyEvent) -> Policy | str:
        return event.policy or "deleted"

    @admin.display(description="license")
    def license_link(self, event: KeyEvent) -> str:
        if event.license_id is None:
            return ""
        if event.license is None:
            return "revoked"
        url = reverse("admin:licensing_license_change", args=[event.license_id])
        return format_html('<a href="{}">{}</a>', url, event.license)

    @admin.display(description="by")
    def by(self, event: KeyEvent) -> str:
        if event.operator:
            return operator_name(event)
        return f"{event.bearer_type.rstrip('s')} …{str(event.bearer_id)[-12:]}" if event.bearer_id else ""
