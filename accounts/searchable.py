"""The search for the resources of one type by the values of their members (contract: search).

An app registers the types that can be searched, each with its members, when it is ready. `POST /search` and the search
of the console read the same declarations.

A search reads a bounded number of rows. Up to MAX_SEARCHED_ROWS rows of a type in an account, it is complete. Beyond,
it finds rows by indexed values (an id, a key, a related resource, the beginning of a text), and by other values only
the newest ones.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any, cast
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet

from keygen_site.db.metadata import MAX_METADATA_BYTES, MAX_METADATA_KEYS, metadata_has
from keygen_site.db.text_search import Contains, UUIDText, filter_prefix
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import codec

MIN_TERM_CHARACTERS = 3
MAX_SEARCHED_ROWS = 50_000  # of a type in an account: the newest ones
MAX_FOUND_ROWS = 1_000  # by each index, where there are more than MAX_SEARCHED_ROWS
NO_ROWS = Q(pk__in=[])
_DIGITS = re.compile(r"[0-9a-f-]+", re.IGNORECASE | re.ASCII)
_UUID_LENGTH, _HYPHENS = 36, (8, 13, 18, 23)

Rows = QuerySet[Any]


class Member(ABC):
    """A member of a query, to which a term is compared.

    Attributes:
        takes_numbers: whether a number stands for its text.
    """

    takes_numbers = False

    @abstractmethod
    def matching(self, term: Any, account_id: UUID) -> Q:
        """The condition that a row of an account matches a term."""

    def find_by_index(self, rows: Rows, term: Any, account_id: UUID) -> Rows | None:
        """Rows that an index finds among millions; None if there is no index. They need not all match the term."""
        return None


class Id(Member):
    """The id: a whole UUID, or a part of its text."""

    takes_numbers = True

    def matching(self, term: str, account_id: UUID) -> Q:
        if uuid := parse_uuid(term):
            return Q(pk=uuid)
        return Q(Contains(UUIDText(F("pk")), term)) if _DIGITS.fullmatch(term) else NO_ROWS

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        if uuid := parse_uuid(term):
            return rows.filter(pk=uuid)
        return rows.filter(id_beginning_with(term))


def id_beginning_with(term: str) -> Q:
    """The ids whose text begins with a term, as a range of the index of ids."""
    if not _DIGITS.fullmatch(term) or len(term) > _UUID_LENGTH:
        return NO_ROWS
    if any((character == "-") != (index in _HYPHENS) for index, character in enumerate(term)):
        return NO_ROWS
    digits = term.replace("-", "")
    return Q(pk__gte=UUID(digits.ljust(32, "0")), pk__lte=UUID(digits.ljust(32, "f")))


@dataclass(frozen=True)
class Text(Member):
    """A part of a text column, in any case.

    Attributes:
        column: the column.
        is_indexed: whether the model has an index for `filter_prefix()`.
        is_lower: whether the column is stored in lower case.
    """

    column: str
    is_indexed: bool = False
    is_lower: bool = False

    def matching(self, term: str, account_id: UUID) -> Q:
        return Q(Contains(F(self.column), term)) if term.strip() else NO_ROWS

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        return filter_prefix(rows, self.column, term, is_lower=self.is_lower) if self.is_indexed else None


class Metadata(Member):
    """Metadata that has every value of a term, an object."""

    def matching(self, term: Mapping[str, Any], account_id: UUID) -> Q:
        if len(term) > MAX_METADATA_KEYS or len(codec.dumps(term)) > MAX_METADATA_BYTES:
            return NO_ROWS  # no metadata is as large
        return reduce(and_, (Q(metadata_has(name, value)) for name, value in term.items()))


@dataclass(frozen=True)
class Related(Member):
    """A related row: by its id, by a part of a text column, or by the beginning of its id.

    Attributes:
        path: the field.
        model: the model of the related rows.
        text: the member of the related rows that a term may be a part of.
        by_parts: whether the beginning of each part of the id counts, and not only that of the whole id.
    """

    path: str
    model: type[Model]
    text: Text
    by_parts: bool = True

    takes_numbers = True

    def matching(self, term: str, account_id: UUID) -> Q:
        return Q(**{f"{self.path}__in": self.related(term, account_id)})

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        return rows.filter(self.matching(term, account_id))

    def related(self, term: str, account_id: UUID) -> Rows | list[UUID]:
        """The related rows that match a term, or their ids."""
        if uuid := parse_uuid(term):
            return [uuid]
        members: list[tuple[Member, Any]] = [(self.text, term), (_IdBeginning(self.by_parts), term)]
        rows = cast(Any, self.model).objects.filter(account=account_id).order_by()
        return narrow(rows, members, account_id, any_of=True).values("pk")


@dataclass(frozen=True)
class _IdBeginning(Member):
    """The beginning of an id or, `by_parts`, of one of the parts between its hyphens."""

    by_parts: bool

    def matching(self, term: str, account_id: UUID) -> Q:
        beginning = id_beginning_with(term)
        if not self.by_parts or not _DIGITS.fullmatch(term):
            return beginning
        return beginning | Q(Contains(UUIDText(F("pk")), f"-{term}"))

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        return rows.filter(id_beginning_with(term))


# The registry --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Searchable:
    """A type of resources that can be searched.

    Attributes:
        model: the model; its queryset has `visible_to(bearer)`.
        members: the members of a query by name, in snake_case.
        rows: returns all rows with the annotations that the resource objects need, given the time.
        permissions: those that a search needs.
    """

    model: type[Model]
    members: Mapping[str, Member]
    rows: Callable[[datetime], Rows]
    permissions: tuple[str, ...]

    @property
    def texts(self) -> list[Text]:
        """The text columns that are searched."""
        return list(dict.fromkeys(each for each in self.members.values() if isinstance(each, Text)))


_types: dict[str, Searchable] = {}


def register(
    model: type[Model], members: Mapping[str, Member], rows: Callable[[datetime], Rows], *, permissions: tuple[str, ...]
) -> None:
    """Let the rows of a model be searched. The app of the model calls this when it is ready. See `Searchable`."""
    searchable = Searchable(model, members, rows, permissions)
    for name in (cast(Any, model).JSONAPIMeta.resource_name, str(model._meta.model_name)):
        _types[_plain(name)] = searchable


def searchable_types() -> list[Searchable]:
    """The types that can be searched."""
    return list({each.model: each for each in _types.values()}.values())


def searchable_named(name: str) -> Searchable | None:
    """The type with a name, in the plural or the singular and in any spelling. None if it cannot be searched."""
    return _types.get(_plain(name))


def searchable_of(model: type[Model]) -> Searchable:
    """The declaration of a model that has been registered."""
    return next(each for each in searchable_types() if each.model is model)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


# The search ----------------------------------------------------------------------------------------------------------


def narrow(rows: Rows, terms: Sequence[tuple[Member, Any]], account_id: UUID, *, any_of: bool) -> Rows:
    """The rows of an account that match all terms, or `any_of` them. A term that is None matches nothing.

    Args:
        rows: rows of the account.
    """
    conditions = [NO_ROWS if term is None else member.matching(term, account_id) for member, term in terms]
    condition = reduce(or_ if any_of else and_, conditions)
    plain = rows.model.objects.filter(account=account_id)  # without annotations
    newest = _newest(plain)
    if newest is None:
        return rows.filter(condition)
    found = list(newest.filter(condition).values_list("pk", flat=True)[:MAX_FOUND_ROWS])
    for member, term in terms:
        indexed = None if term is None else member.find_by_index(plain.order_by(), term, account_id)
        if indexed is not None:
            ids = list(indexed.values_list("pk", flat=True)[:MAX_FOUND_ROWS])
            found += plain.order_by().filter(condition, pk__in=ids).values_list("pk", flat=True)
    return rows.filter(pk__in=list(dict.fromkeys(found)))


def _newest(rows: Rows) -> Rows | None:
    """The newest MAX_SEARCHED_ROWS rows, newest first; None if there are no others."""
    order = rows.model._meta.ordering  # `-id`, or `-created` and `-id`
    rows = rows.order_by(*order)
    names = [str(name).lstrip("-") for name in order]
    last = list(rows.values_list(*names)[MAX_SEARCHED_ROWS - 1 : MAX_SEARCHED_ROWS + 1])
    if len(last) < 2:
        return None
    values = dict(zip(names, last[0], strict=True))
    if "created" not in values:
        return rows.filter(pk__gte=values["id"])
    # The first condition follows from the second; an index can use it.
    tie = Q(created=values["created"], pk__gte=values["id"])
    return rows.filter(created__gte=values["created"]).filter(Q(created__gt=values["created"]) | tie)
