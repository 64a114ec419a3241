from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import QuerySet, UUIDField
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html

from accounts.admin.base import ReadOnlyAdmin, format_time
from accounts.admin.operators import operator_name, with_operators
from keygen_site.db.uuids import parse_uuid, uuid7_floor
from licensing.models import Policy
from pools.admin.actions import Return, Reveal, Withdraw
from pools.admin.key_search import find_keys
from pools.models import Key, KeyEvent, KeyImport
from pools.models.key_events import KeyEventQuerySet
from pools.models.keys import KeyQuerySet

MAX_POOL_CHOICES = 200


def is_search(request: HttpRequest) -> bool:
    return bool(request.GET.get("q", "").strip())


class PoolFilter(admin.SimpleListFilter):
    """Lists one pool at a time: no index has all keys of an account in an order."""

    title, parameter_name = "pool", "policy"

    def __init__(self, request: HttpRequest, params: Any, model: type[Key], model_admin: Any) -> None:
        policies = model_admin.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account")
        self.pools = [(str(pk), name) for pk, name in policies.values_list("pk", "name")[:MAX_POOL_CHOICES]]
        self.is_search = is_search(request) or "import" in request.GET
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.pools

    def has_output(self) -> bool:
        return True

    def value(self) -> str | None:
        chosen = super().value()
        if chosen is None and len(self.pools) == 1 and not self.is_search:
            return self.pools[0][0]
        return chosen

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        chosen = self.value()
        for pk, name in self.pools:
            yield {
                "selected": chosen == pk,
                "query_string": changelist.get_query_string({self.parameter_name: pk}, ["q", "import", "p"]),
                "display": name,
            }

    def queryset(self, request: HttpRequest, keys: Any) -> KeyQuerySet:
        if chosen := self.value():
            uuid = parse_uuid(chosen)
            if not uuid:
                return keys.none()
            # The index of popped keys is by policy and timestamp, and keys since a timestamp begin in the middle of the
            # index of the pool: both need a policy that is equal, not in a range. An import has its own index.
            by_time = request.GET.get("state") == "popped" or "since" in request.GET
            return keys.filter(policy=uuid) if by_time and "import" not in request.GET else keys.for_policy(uuid)
        return keys if self.is_search else keys.none()


class StateFilter(admin.SimpleListFilter):
    """Available, popped or withdrawn. Each state has an order and an index of its own."""

    title, parameter_name = "state", "state"
    STATES = Key.State.values

    def __init__(self, request: HttpRequest, params: Any, model: type[Key], model_admin: Any) -> None:
        self.is_search = is_search(request)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in self.STATES]

    def value(self) -> str | None:
        chosen = super().value()
        return chosen if chosen in self.STATES else None if self.is_search else "available"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        if self.is_search:
            yield {
                "selected": self.value() is None,
                "query_string": changelist.get_query_string(remove=[self.parameter_name]),
                "display": "Any",
            }
        for state, title in self.lookup_choices:
            yield {
                "selected": self.value() == state,
                "query_string": changelist.get_query_string({self.parameter_name: state}, ["p"]),
                "display": title,
            }

    def queryset(self, request: HttpRequest, keys: Any) -> KeyQuerySet:
        match self.value():
            case "available":
                return keys.available()
            case "popped":
                return keys.filter(popped__isnull=False, withdrawn=None)
            case "withdrawn":
                return keys.filter(withdrawn__isnull=False)
        return keys


class ImportFilter(admin.SimpleListFilter):
    """The last imports into the chosen pool."""

    title, parameter_name = "import", "import"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        imports = model_admin.restrict_to_account(KeyImport.objects.filter(loading=None), request, "account")
        if policy := parse_uuid(request.GET.get("policy", "")):
            imports = imports.filter(policy=policy)
        return [(str(each.pk), str(each)) for each in imports[:20]]

    def queryset(self, request: HttpRequest, keys: Any) -> KeyQuerySet:
        if not self.value():
            return keys
        # Keys are younger than their import: its id tells where they begin in the order of ids.
        uuid = parse_uuid(self.value())
        return keys.filter(key_import=uuid, pk__gt=uuid) if uuid else keys.none()


class SinceFilter(admin.SimpleListFilter):
    """Filters by the time of the pop or withdrawal, and available keys by the time they were added."""

    title, parameter_name = "date", "since"
    DAYS = {"1": "Last 24 hours", "7": "Last 7 days", "30": "Last 30 days"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.DAYS.items())

    def queryset(self, request: HttpRequest, keys: Any) -> KeyQuerySet:
        days = self.value()
        if days not in self.DAYS:
            return keys
        since = timezone.now() - timedelta(days=int(days))
        match request.GET.get("state"):
            case "popped":
                return keys.filter(popped__gte=since)
            case "withdrawn":
                return keys.filter(withdrawn__gte=since)
        return keys.filter(pk__gt=uuid7_floor(since))


@admin.register(Key)
class KeyAdmin(ReadOnlyAdmin):
    """Keys, masked. They are added by imports."""

    confirmed_actions = [Reveal(), Return(), Withdraw()]
    list_display = ["masked", "of_policy", "state", "moment", "reference", "of_import"]
    list_select_related = ["policy", "key_import"]
    list_filter = [PoolFilter, StateFilter, ImportFilter, SinceFilter]
    search_fields = ["key"]
    search_help_text = "A whole key, its last four characters, a reference, or the id of a license"
    sortable_by = ()
    fields = ["masked", "of_policy", "state", "of_import", "added", "shown"]
    readonly_fields = ["masked", "of_policy", "state", "of_import", "added", "shown"]
    change_form_template = "admin/pools/key/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).published()

    def restrict_to_account(self, rows: QuerySet, request: Any, account_path: str | None = None) -> QuerySet:
        """The rows of the operator's account. SQLite finds keys by their pool, import or id, not by the account.

        COALESCE keeps the account's indexes out of the plan: for `account_id = x` SQLite, which has no statistics,
        scans and sorts all keys of the account, whatever the other conditions.
        """
        if account_path or request.user.is_superuser or connection.vendor != "sqlite":
            return super().restrict_to_account(rows, request, account_path)
        whose = Coalesce("account_id", "account_id", output_field=UUIDField())
        return rows.alias(whose=whose).filter(whose=request.user.account_id)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = with_references(changelist.result_list)
        return changelist

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """The order of the index of each state; available keys are in the order of the pool."""
        if is_search(request):
            return ["id"]
        orders = {"popped": ["-popped"], "withdrawn": ["-policy_id", "-id"]}
        return orders.get(request.GET.get("state", ""), ["policy_id", "id"])

    def get_search_results(self, request: Any, keys: QuerySet[Any], text: str) -> tuple[QuerySet[Any], bool]:
        text = text.strip()
        if not text:
            return keys, False
        account = None if request.user.is_superuser else request.user.account
        return keys.filter(pk__in=find_keys(text, account)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        policy = parse_uuid(request.GET.get("policy", ""))
        pools = self.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account").select_related(
            "product"
        )
        context = {
            "title": "Keys",
            "pools": pools.only("name", "product__name")[:MAX_POOL_CHOICES],
            "chosen": policy or is_search(request) or "import" in request.GET,
            "is_search": is_search(request),
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        key = uuid and self.get_queryset(request).select_related("policy", "key_import").filter(pk=uuid).first()
        context = {"key": key, "life": key and Life(key)}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.display(description="key")
    def masked(self, key: Key) -> str:
        return format_html("<code>{}</code>", key.masked)

    @admin.display(description="pool")
    def of_policy(self, key: Key) -> str:
        url = reverse("admin:licensing_policy_change", args=[key.policy_id])
        return format_html('<a href="{}">{}</a>', url, key.policy)

    @admin.display(description="state")
    def state(self, key: Key) -> str:
        return format_html('<span class="state state-{0}">{0}</span>', key.state)

    @admin.display(description="since")
    def moment(self, key: Key) -> str:
        return format_time(key.withdrawn or key.popped or key.created)

    @admin.display(description="reference")
    def reference(self, key: Any) -> str:
        return key.last_reference

    @admin.display(description="import")
    def of_import(self, key: Key) -> str:
        if key.key_import is None:
            return ""
        url = reverse("admin:pools_keyimport_change", args=[key.key_import_id])
        return format_html('<a href="{}">{}</a>', url, key.key_import)

    @admin.display(description="added")
    def added(self, key: Key) -> str:
        return format_time(key.created)

    @admin.display(description="first shown or exported")
    def shown(self, key: Key) -> str:
        if key.disclosed is None:
            return ""
        to = key.disclosed_to or "an unknown person"
        return format_html("{}, {} to {}", format_time(key.disclosed), key.disclosure, to)


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


class Life:
    """The events of a key, newest first."""

    MAX_EVENTS = 200

    def __init__(self, key: Key) -> None:
        self.key = key

    @property
    def _events(self) -> KeyEventQuerySet:
        return KeyEvent.objects.filter(account=self.key.account_id, key_digest=self.key.digest)

    @cached_property
    def added_by(self) -> str:
        if self.key.key_import_id:
            return operator_name(with_operators(KeyImport.objects.filter(pk=self.key.key_import_id)).get())
        added = with_operators(self._events.filter(event=KeyEvent.Event.ADDED, key=self.key)).first()
        return (operator_name(added) or added.actor) if added else ""

    @cached_property
    def events(self) -> list[tuple[KeyEvent, str]]:
        """The events, each with its operator or bearer as HTML."""
        events = self._events.exclude(event=KeyEvent.Event.ADDED).newest_first().select_related("license")
        found = with_operators(events)[: self.MAX_EVENTS]
        return [(event, operator_name(event) or event.actor) for event in found]
