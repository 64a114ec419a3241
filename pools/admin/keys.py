from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import QuerySet, UUIDField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from accounts.admin.base import ReadOnlyAdmin, format_time
from accounts.search import SearchScope
from keygen_site.db.uuids import parse_uuid
from licensing.models import Policy
from pools.admin.key_actions import Replace, Return, Reveal, Withdraw
from pools.admin.key_filters import (
    MAX_POOL_CHOICES,
    ImportFilter,
    PoolFilter,
    SinceFilter,
    StateFilter,
    chosen_state,
    is_search,
)
from pools.admin.key_story import STATE_WORDS, KeyStory
from pools.admin.links import Links
from pools.models import Key, KeyEvent
from pools.services.search import find_key_ids


@admin.register(Key)
class KeyAdmin(ReadOnlyAdmin):
    """Keys, masked. They are added by imports."""

    confirmed_actions = [Reveal(), Replace(), Withdraw(), Return()]
    list_display = ["masked", "state", "reference", "moment", "of_policy", "of_import"]
    list_select_related = ["policy", "key_import"]
    list_filter = [PoolFilter, StateFilter, ImportFilter, SinceFilter]
    search_fields = ["key"]
    sortable_by = ()
    fields = ["masked"]
    readonly_fields = ["masked"]
    change_form_template = "admin/pools/key/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).published()

    def restrict_to_account(self, rows: QuerySet, request: Any, account_path: str | None = None) -> QuerySet:
        """The rows of the operator's account. SQLite finds keys by their pool, import or id, not by the account.

        COALESCE keeps the account's indexes out of the plan: for `account_id = x` SQLite, which has no statistics,
        scans and sorts all keys of the account, under any other conditions.
        """
        if account_path or request.user.is_superuser or connection.vendor != "sqlite":
            return super().restrict_to_account(rows, request, account_path)
        whose = Coalesce("account_id", "account_id", output_field=UUIDField())
        return rows.alias(whose=whose).filter(whose=request.user.account_id)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = with_references(changelist.result_list)
        return changelist

    def rows_for_csv(self, rows: Any) -> list[Any]:
        return with_references(rows)

    def get_actions(self, request: HttpRequest) -> Any:
        """The actions on several rows, without those that no key in the state of the list permits."""
        impossible = {"available": {"return"}, "withdrawn": {"return", "withdraw"}}.get(chosen_state(request), set())
        return {name: action for name, action in super().get_actions(request).items() if name not in impossible}

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The order of the index of each state; available keys are in the order of the pool."""
        if is_search(request):
            return ["id"]
        orders: dict[str, list[Any]] = {"popped": ["-popped"], "withdrawn": ["-policy_id", "-id"]}
        in_pool: list[Any] = ["policy_id", "id"]
        if "import" in request.GET and connection.vendor == "sqlite":
            # The order of the index of imports: that in which the rows were added.
            in_pool = [RawSQL('"pools_key"."rowid"', ())]
        return orders.get(request.GET.get("state", ""), in_pool)

    def get_search_results(self, request: Any, keys: QuerySet[Any], text: str) -> tuple[QuerySet[Any], bool]:
        text = text.strip()
        if not text:
            return keys, False
        may_reveal = request.user.has_perm("pools.reveal_key")
        return keys.filter(pk__in=find_key_ids(SearchScope.of(request.user), text, may_reveal=may_reveal)), False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the columns that are the same for all rows, and with the time that matters in the chosen state."""
        times = {"popped": "handed_out", "withdrawn": "retired"}
        state = chosen_state(request)
        names = [
            times.get(state, "moment" if is_search(request) else "available_since") if name == "moment" else name
            for name in super().get_list_display(request)
        ]
        hidden = {"of_policy"} if "policy" in request.GET else set()
        if not is_search(request):
            hidden.add("state")
        if state == "available":
            hidden.add("reference")
        return [name for name in names if name not in hidden]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = parse_uuid(request.GET.get("policy", "")) or is_search(request) or "import" in request.GET
        pools: list[Policy] = []
        if not chosen:
            policies = self.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account")
            pools = list(policies.select_related("product").only("name", "product__name")[: MAX_POOL_CHOICES + 1])
        context = {
            "title": "Find a key",
            "pools": pools[:MAX_POOL_CHOICES],
            "has_more_pools": len(pools) > MAX_POOL_CHOICES,
            "chosen": chosen or len(pools) == 1,
            "is_search": is_search(request),
            "is_first": not request.GET,
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        keys = self.get_queryset(request).select_related("policy__product", "key_import")
        key = uuid and keys.filter(pk=uuid).first()
        context: dict[str, Any] = {}
        if key:
            links = Links(request.user.has_perm)
            context = {
                "key": key,
                "story": KeyStory(key, request.user.has_perm),
                "state_words": STATE_WORDS[key.state],
                "pool": links.to(key.policy),
                "product": links.to(key.policy.product),
            }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.display(description="key")
    def masked(self, key: Key) -> str:
        return format_html("<code>{}</code>", key.masked)

    @admin.display(description="pool")
    def of_policy(self, key: Key) -> str:
        return Links(lambda permission: True).to(key.policy)

    @admin.display(description="state")
    def state(self, key: Key) -> str:
        return format_html('<span class="state state-{}">{}</span>', key.state, STATE_WORDS[key.state])

    @admin.display(description="since")
    def moment(self, key: Key) -> str:
        return format_time(key.withdrawn or key.popped or key.created)

    @admin.display(description="available since")
    def available_since(self, key: Key) -> str:
        return format_time(key.created)

    @admin.display(description="handed out")
    def handed_out(self, key: Key) -> str:
        return format_time(key.popped)

    @admin.display(description="retired")
    def retired(self, key: Key) -> str:
        return format_time(key.withdrawn)

    @admin.display(description="order or reference")
    def reference(self, key: Any) -> str:
        return format_html("<bdi>{}</bdi>", key.last_reference)

    @admin.display(description="batch")
    def of_import(self, key: Key) -> str:
        return Links(lambda permission: True).to(key.key_import) if key.key_import else ""


def with_references(rows: Iterable[Any]) -> list[Any]:
    """Keys with `last_reference`, the reference of their last pop or issue, in one query."""
    keys = list(rows)
    events = KeyEvent.objects.filter(
        account__in={key.account_id for key in keys},
        key_digest__in=[key.digest for key in keys],
        event__in=(KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED),
    )
    latest_last = events.order_by("created", "id").values_list("account", "key_digest", "reference")
    references = {(account, bytes(digest or b"")): reference for account, digest, reference in latest_last}
    for key in keys:
        key.last_reference = references.get((key.account_id, bytes(key.digest)), "")
    return keys
