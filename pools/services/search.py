"""The search of the console: one text, and the rows of all kinds that it may mean.

Each statement is bounded, and has an index or reads the newest rows only.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Group
from accounts.search import NOTHING, Found, SearchScope, find_users, found
from accounts.searchable import Text, searchable_of
from keygen_site.db.uuids import parse_uuid
from licensing.key_spellings import MAX_SPELLED_CHARACTERS, MIN_SPELLED_LETTERS, letters_of, spell_key
from licensing.models import Entitlement, Policy, Product
from licensing.search import find_licenses, find_licenses_by_key, find_machines, find_named
from pools.models import KeyImport
from pools.services.key_search import find_keys, sample_keys
from pools.services.order_search import Order, find_orders, key_ids_of_license

MAX_OWNERS = 20  # whose licenses are found with them


class Kind(StrEnum):
    """The kinds of rows that are found, in the order of the page."""

    ORDER = "order"
    KEY = "key"
    LICENSE = "license"
    USER = "user"
    POOL = "pool"
    PRODUCT = "product"
    IMPORT = "import"
    MACHINE = "machine"
    ENTITLEMENT = "entitlement"
    GROUP = "group"


@dataclass
class SearchResult:
    """The results of a search, by kind. Orders, which are not rows, are in `orders`."""

    orders: list[Order] = field(default_factory=list)
    rows: dict[Kind, Found] = field(default_factory=dict)

    def __getitem__(self, kind: Kind) -> Found:
        return self.rows.get(kind, NOTHING)

    @property
    def is_empty(self) -> bool:
        return not self.orders and not any(each.ids for each in self.rows.values())

    @property
    def single_hit(self) -> tuple[Kind, UUID] | None:
        """The one row that the text names, if it names one only: a whole key, an order with one key, an email …

        A key and the license that has it are one hit, the key.
        """
        hits = [(kind, pk) for kind, rows in self.rows.items() for pk in rows.exact]
        for order in self.orders:
            if order.is_exact:
                if len(order.key_ids) != 1:
                    return None
                hits.append((Kind.KEY, order.key_ids[0]))
        hits = list(dict.fromkeys(hits))
        keys = [hit for hit in hits if hit[0] == Kind.KEY]
        if len(keys) == 1 and [kind for kind, _ in hits if kind != Kind.KEY] in ([], [Kind.LICENSE]):
            return keys[0]
        return hits[0] if len(hits) == 1 else None


def search(scope: SearchScope, text: str, *, kinds: Collection[Kind], may_reveal: bool) -> SearchResult:
    """Search the rows of some kinds.

    If the text is a whole key or an id, only the row that it names is found.

    Args:
        kinds: those that the operator may see.
        may_reveal: whether the operator may reveal keys, see `licensing.key_spellings.ends_with`.
    """
    text = text.strip()
    result = SearchResult()
    if not text:
        return result

    @cache
    def spell() -> list[str]:
        is_key = len(letters_of(text)) >= MIN_SPELLED_LETTERS and len(text) <= MAX_SPELLED_CHARACTERS
        return spell_key(text, sample_keys(scope)) if is_key else []

    if Kind.KEY in kinds:
        result.rows[Kind.KEY] = find_keys(scope, text, spell=spell, may_reveal=may_reveal)
    if Kind.LICENSE in kinds:
        result.rows[Kind.LICENSE] = found(find_licenses_by_key(scope, text, spell), [])
    if result[Kind.KEY].exact or result[Kind.LICENSE].exact:
        return result
    if Kind.USER in kinds:
        result.rows[Kind.USER] = find_users(scope, text)
    if Kind.LICENSE in kinds:
        owners = result[Kind.USER].ids[:MAX_OWNERS]
        result.rows[Kind.LICENSE] = find_licenses(scope, text, may_reveal=may_reveal, owners=owners)
    if Kind.ORDER in kinds:
        if uuid := parse_uuid(text):
            result.rows[Kind.KEY] = Found(key_ids_of_license(scope, uuid), [])
        else:
            result.orders = find_orders(scope, text)
    if Kind.MACHINE in kinds:
        result.rows[Kind.MACHINE] = find_machines(scope, text)
    tables: dict[Kind, tuple[QuerySet[Any], list[Text]]] = {
        Kind.POOL: (Policy.objects.filter(use_pool=True), searchable_of(Policy).texts),
        Kind.PRODUCT: (Product.objects.all(), [*searchable_of(Product).texts, Text("code")]),
        Kind.IMPORT: (KeyImport.objects.filter(loading=None), [Text("name"), Text("source")]),
        Kind.ENTITLEMENT: (Entitlement.objects.all(), searchable_of(Entitlement).texts),
        Kind.GROUP: (Group.objects.all(), searchable_of(Group).texts),
    }
    for kind, (rows, texts) in tables.items():
        if kind in kinds:
            result.rows[kind] = find_named(scope, rows, texts, text)
    return result


def find_key_ids(scope: SearchScope, text: str, *, may_reveal: bool) -> set[UUID]:
    """The keys that a text may mean: keys, those of orders, and those that a license has or had."""
    result = search(scope, text, kinds=[Kind.KEY, Kind.ORDER], may_reveal=may_reveal)
    return {*result[Kind.KEY].ids, *(pk for order in result.orders for pk in order.key_ids)}
