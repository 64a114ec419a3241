"""The filters of the list of keys. Each combination of them that the list offers has an index."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils import timezone

from keygen_site.db.uuids import parse_uuid, uuid7_floor
from licensing.models import Policy
from pools.admin.key_story import STATE_WORDS
from pools.models import Key, KeyImport
from pools.models.keys import KeyQuerySet

MAX_POOL_CHOICES = 200


def is_search(request: HttpRequest) -> bool:
    return bool(request.GET.get("q", "").strip())


def chosen_state(request: HttpRequest) -> str:
    """The state of the keys of the list, or "" where it has keys of any state."""
    default = "" if is_search(request) else Key.State.AVAILABLE.value
    state = request.GET.get("state", default)
    return state if state in Key.State.values else default


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
        if len(self.pools) > 1:
            query_string = changelist.get_query_string(remove=[self.parameter_name, "import", "p"])
            yield {"selected": chosen is None, "query_string": query_string, "display": "Any pool"}
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
            if "import" in request.GET:
                # An import has its own index. A range keeps SQLite from using that of the whole pool.
                return keys.filter(policy__gte=uuid, policy__lte=uuid)
            # The index of popped keys is by policy and timestamp, and keys since a timestamp begin in the middle of the
            # index of the pool: both need a policy that is equal, not in a range.
            by_time = request.GET.get("state") == "popped" or "since" in request.GET
            return keys.filter(policy=uuid) if by_time else keys.for_policy(uuid)
        return keys if self.is_search else keys.none()


class StateFilter(admin.SimpleListFilter):
    """Available, handed out or retired. Each state has an order and an index of its own."""

    title, parameter_name, template = "state", "state", "admin/pools/key/state_filter.html"

    def __init__(self, request: HttpRequest, params: Any, model: type[Key], model_admin: Any) -> None:
        self.is_search, self.chosen = is_search(request), chosen_state(request)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, STATE_WORDS[state].capitalize()) for state in Key.State.values]

    def value(self) -> str | None:
        return self.chosen or None

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        if self.is_search:
            yield {
                "selected": self.value() is None,
                "query_string": changelist.get_query_string(remove=[self.parameter_name]),
                "display": "Any state",
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

    title, parameter_name = "batch", "import"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        imports = model_admin.restrict_to_account(KeyImport.objects.filter(loading=None), request, "account")
        if policy := parse_uuid(request.GET.get("policy", "")):
            imports = imports.filter(policy=policy)
        return [(str(each.pk), str(each)) for each in imports[:20]]

    def queryset(self, request: HttpRequest, keys: Any) -> KeyQuerySet:
        if not self.value():
            return keys
        uuid = parse_uuid(self.value())
        # Keys are younger than the import that added them: its id tells where they begin in the order of ids.
        return keys.filter(key_import=uuid, pk__gt=_first_import(uuid)) if uuid else keys.none()


def _first_import(uuid: UUID) -> UUID:
    """The import that added the keys of an import which they may have been moved to."""
    while earlier := KeyImport.objects.filter(pk=uuid).values_list("moved_from", flat=True).first():
        uuid = earlier
    return uuid


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
