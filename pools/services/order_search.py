"""The search for orders: the references of the events of keys."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.search import SearchScope
from keygen_site.db.text_search import MAX_SCANNED_ROWS, MIN_PART_CHARACTERS, TAIL_CHARACTERS, fold
from pools.models import KeyEvent
from pools.models.key_events import KeyEventQuerySet

MAX_FOUND_ORDERS = 10
MAX_KEYS_OF_ORDER = 100
MAX_FOUND_EVENTS = 200  # by the beginning of their reference
MAX_COMPARED_EVENTS = 5_000  # with the same last characters of their reference


@dataclass(frozen=True)
class Order:
    """A reference in an account, and the keys whose events have it.

    Attributes:
        key_ids: at most MAX_KEYS_OF_ORDER.
        has_more: whether there are more.
        is_exact: whether the text that was searched for is the whole reference.
    """

    account_id: UUID
    reference: str
    key_ids: list[UUID]
    has_more: bool
    is_exact: bool


def find_orders(scope: SearchScope, text: str) -> list[Order]:
    """The orders whose reference is a text, or has it in it.

    All are searched by their beginning (in the case of the text, or in upper or lower case) and by their end; those of
    the newest MAX_SCANNED_ROWS events also by another part.
    """
    events = scope.rows(KeyEvent.objects.filter(key__isnull=False))
    found: dict[tuple[UUID, str], None] = {}

    def add(rows: KeyEventQuerySet, limit: int) -> None:
        wanted = fold(text)
        for account, reference in rows.values_list("account_id", "reference")[:limit]:
            if reference and wanted in fold(reference):
                found[account, reference] = None

    if len(text) < MIN_PART_CHARACTERS:
        add(events.exclude(reference="").filter(reference=text), MAX_FOUND_EVENTS)
    else:
        for spelling in dict.fromkeys([text, text.upper(), text.lower(), text.capitalize()]):
            add(events.with_reference_beginning(spelling), MAX_FOUND_EVENTS)
        if len(text) >= TAIL_CHARACTERS:
            add(events.with_reference_tail(text), MAX_COMPARED_EVENTS)
        add(scope.newest(KeyEvent.objects.all()), MAX_SCANNED_ROWS)
    wanted = fold(text)
    # Exact ones first, then those that begin with the text or end with it.
    best = sorted(found, key=lambda order: (fold(order[1]) != wanted, not _is_at_an_end(fold(order[1]), wanted)))
    return [_order(account, reference, fold(reference) == wanted) for account, reference in best[:MAX_FOUND_ORDERS]]


def key_ids_of_license(scope: SearchScope, license: UUID) -> list[UUID]:
    """The keys that a license has or had, also after it was deleted."""
    events = scope.rows(KeyEvent.objects.filter(license=license, key__isnull=False))
    return list(dict.fromkeys(events.values_list("key", flat=True)[:MAX_KEYS_OF_ORDER]))


def _order(account_id: UUID, reference: str, is_exact: bool) -> Order:
    events: Any = KeyEvent.objects.filter(account=account_id, reference=reference, key__isnull=False)
    ids = events.exclude(reference="").order_by().values_list("key", flat=True)[: 2 * MAX_KEYS_OF_ORDER]
    distinct = sorted(dict.fromkeys(ids))
    return Order(
        account_id, reference, distinct[:MAX_KEYS_OF_ORDER], len(distinct) > MAX_KEYS_OF_ORDER, is_exact=is_exact
    )


def _is_at_an_end(reference: str, text: str) -> bool:
    return reference.startswith(text) or reference.endswith(text)
