"""The activity of an account: the ledger of keys and the record of all other changes, as one stream in pages.

Both have UUIDv7 ids, whose order is the order of creation, so they can be merged. A page costs a bounded number of
statements, each of which reads a bounded number of rows under any filters. A filter without an index looks at the
next WINDOW entries only, and the page reports how far it has looked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Account, Activity
from keygen_site.db.conditions import bounded
from keygen_site.db.uuids import uuid7_floor
from pools.models import KeyEvent
from pools.models.key_events import RARE_EVENTS

WINDOW = 5_000  # entries that a filter without an index looks at, for a page
MAX_WITH_REFERENCE = 1_000  # entries of one order, ticket or name
PAGE_ENTRIES = 200  # at most, before those of one request are folded
PAGE_LINES = 50
EXPORT_PAGE_ENTRIES = 1_000

Entry = KeyEvent | Activity
_Event = KeyEvent.Event


@dataclass(frozen=True)
class Kind:
    """A kind of entries that the page can be limited to.

    Attributes:
        of_keys: the condition on entries of the ledger; None for none of them.
        rare: the events of the ledger, if all are rare and have an index of their own.
        nouns: the kinds of objects of other entries.
    """

    title: str
    of_keys: Q | None = None
    rare: Sequence[str] = ()
    nouns: Sequence[str] = ()


KINDS = {
    "keys": Kind("Keys", Q(key_import=None) & ~Q(event__in=[_Event.EXPORTED, _Event.MOVED])),
    "imports": Kind(
        "Imports",
        Q(key_import__isnull=False),
        rare=(_Event.ADDED, _Event.REMOVED, _Event.MOVED, _Event.WITHDRAWN),
    ),
    "exports": Kind("Exports", Q(event=_Event.EXPORTED), rare=(_Event.EXPORTED,), nouns=("list",)),
    "licenses": Kind("Licenses and machines", Q(event=_Event.ISSUED), nouns=("license", "machine", "component")),
    "tokens": Kind("API tokens", nouns=("token",)),
    "people": Kind("People and sign-ins", nouns=("user", "invitation")),
    "settings": Kind("Products, policies, settings", nouns=("policy", "product", "entitlement", "account", "group")),
}


@dataclass(frozen=True)
class Filters:
    """The filters of a page.

    Attributes:
        account: the account; None for all of them, which only superusers see.
        kind: one of KINDS, or an empty text for all.
        policy: the id of a policy that the operator may see.
        who: the id of an operator, user, product, license or token.
        since, until: the first and the last day, in UTC.
        before: only entries that are older than this id.
    """

    account: UUID | None
    kind: str = ""
    policy: UUID | None = None
    who: UUID | None = None
    reference: str = ""
    since: date | None = None
    until: date | None = None
    before: UUID | None = None


@dataclass(frozen=True)
class Page:
    """Entries, newest first.

    Attributes:
        older: where the next page begins (`Filters.before`); None if this is the last one.
        is_partial: whether the search ended before the last entry, and the page is not full.
    """

    entries: list[Entry]
    older: UUID | None
    is_partial: bool = False


@dataclass(frozen=True)
class _Source:
    """Entries that an index finds, and a condition that the index does not cover.

    Attributes:
        order: newest first, by the columns of the index.
    """

    rows: QuerySet[Any]
    condition: Q = field(default_factory=Q)
    order: tuple[str, ...] = ("-pk",)

    def read(self, filters: Filters, limit: int) -> tuple[list[Entry], UUID | None]:
        """The newest entries, and the id down to which all have been looked at; None: to the end."""
        rows = self.rows.order_by(*self.order)
        if end := _end(filters):
            rows = bounded(rows, "lt", end)
        if filters.since:
            rows = bounded(rows, "gte", uuid7_floor(_midnight(filters.since)))
        floor: UUID | None = None
        if self.condition:
            floor = next(iter(rows.values_list("pk", flat=True)[WINDOW - 1 : WINDOW]), None)
            rows = rows.filter(self.condition)
            if floor:
                rows = bounded(rows, "gte", floor)
        found: list[Entry] = list(rows[:limit])
        if len(found) == limit:
            floor = found[-1].pk
        return found, floor


def _end(filters: Filters) -> UUID | None:
    ends = [filters.before] if filters.before else []
    if filters.until:
        ends.append(uuid7_floor(_midnight(filters.until + timedelta(days=1))))
    return min(ends, default=None)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def read_page(filters: Filters, limit: int = 0) -> Page:
    """The newest entries that the filters let through, at most `limit`, or PAGE_ENTRIES."""
    limit = limit or PAGE_ENTRIES
    if filters.reference:
        return _read_reference(filters)
    found: dict[UUID, Entry] = {}
    floors = []
    for source in [*_key_sources(filters), *_other_sources(filters)]:
        entries, floor = source.read(filters, limit)
        found.update((entry.pk, entry) for entry in entries)
        if floor:
            floors.append(floor)
    # Below the highest of these ids, some source may have entries that were not read.
    floor = max(floors, default=None)
    ordered = [found[pk] for pk in sorted(found, reverse=True) if floor is None or pk >= floor]
    if len(ordered) > limit or (len(ordered) == limit and floor):
        return Page(ordered[:limit], ordered[limit - 1].pk)
    return Page(ordered, floor, is_partial=floor is not None)


def read_all(filters: Filters) -> Iterator[list[Entry]]:
    """All entries that the filters let through, in blocks. No cursor stays open."""
    while True:
        page = read_page(filters, EXPORT_PAGE_ENTRIES)
        yield page.entries
        if page.older is None:
            return
        filters = replace(filters, before=page.older)


def _read_reference(filters: Filters) -> Page:
    """The entries of one reference: by its index, which has no order, and then sorted."""
    kind = KINDS.get(filters.kind)
    tables: list[Any] = []
    if kind is None or kind.of_keys is not None:
        tables.append(KeyEvent.objects.filter(kind.of_keys) if kind and kind.of_keys else KeyEvent.objects.all())
    if kind is None or kind.nouns:
        tables.append(Activity.objects.filter(noun__in=kind.nouns) if kind else Activity.objects.all())
    entries: list[Entry] = []
    for rows in tables:
        # The index begins with the account.
        accounts: Any = Account.objects.values("pk") if filters.account is None else [filters.account]
        own = rows.filter(account__in=accounts)
        own = own.filter(reference=filters.reference).exclude(reference="")
        entries += own.order_by()[:MAX_WITH_REFERENCE]
    ordered = sorted((entry for entry in entries if _fits(entry, filters)), key=lambda each: each.pk, reverse=True)
    older = ordered[PAGE_ENTRIES - 1].pk if len(ordered) > PAGE_ENTRIES else None
    return Page(ordered[:PAGE_ENTRIES], older)


def _fits(entry: Entry, filters: Filters) -> bool:
    end = _end(filters)
    if (end and entry.pk >= end) or (filters.since and entry.pk < uuid7_floor(_midnight(filters.since))):
        return False
    if filters.policy and entry.policy_id != filters.policy:
        return False
    return not filters.who or filters.who in (entry.operator_id, entry.bearer_id, entry.token_id)


def _key_sources(filters: Filters) -> list[_Source]:
    kind = KINDS.get(filters.kind)
    if kind and kind.of_keys is None:
        return []
    condition = kind.of_keys if kind and kind.of_keys is not None else Q()
    events = KeyEvent.objects.all()
    if filters.policy:  # whose account the caller has checked
        return [_Source(events.for_policy(filters.policy), condition & _by(filters), ("-policy_id", "-pk"))]
    if filters.account is None:
        return [_Source(events, condition & _by(filters))]
    events = events.filter(account=filters.account)
    if filters.who:
        return [_Source(events.filter(**{name: filters.who}), condition) for name in _WHO]
    if kind and kind.rare:
        assert set(kind.rare) <= set(RARE_EVENTS)
        return [_Source(events.rare().filter(event=event), condition) for event in kind.rare]
    return [_Source(events, condition)]


def _other_sources(filters: Filters) -> list[_Source]:
    kind = KINDS.get(filters.kind)
    if kind and not kind.nouns:
        return []
    condition = Q(noun__in=kind.nouns) if kind else Q()
    entries = Activity.objects.all()
    if filters.policy:
        return [_Source(entries.filter(policy_id=filters.policy), condition & _by(filters))]
    if filters.account is None:
        return [_Source(entries, condition & _by(filters))]
    entries = entries.filter(account=filters.account)
    if filters.who:
        return [_Source(entries.filter(**{name: filters.who}), condition) for name in _WHO]
    if kind:
        return [_Source(entries.filter(noun=noun)) for noun in kind.nouns]
    return [_Source(entries)]


_WHO = ("operator_id", "bearer_id", "token_id")


def _by(filters: Filters) -> Q:
    """The condition on who it was."""
    if not filters.who:
        return Q()
    return Q(operator_id=filters.who) | Q(bearer_id=filters.who) | Q(token_id=filters.who)


def fold(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Neighboring entries of the same event of one request together, e.g. the ten keys of one order."""
    folded: list[list[Entry]] = []
    for entry in entries:
        last = folded[-1][-1] if folded else None
        if last and entry.request_id and _sort_of(last) == _sort_of(entry):
            folded[-1].append(entry)
        else:
            folded.append([entry])
    return folded


def _sort_of(entry: Entry) -> tuple[Any, ...]:
    what = entry.noun if isinstance(entry, Activity) else ""
    return (type(entry), entry.request_id, entry.event, what, entry.account_id)
