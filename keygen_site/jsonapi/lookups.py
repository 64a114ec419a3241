"""Looks up the row that an identifier in a URL names, by a compiled query."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Model

from keygen_site.db.compiled_queries import Bearer, CompiledQuery, Statement, sample_text, sample_uuid_text
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import NotFound

Rows = Any  # a queryset, whose class depends on the model


class Lookup:
    """Finds the row that an identifier names among those that a bearer may see.

    An identifier is an argument of the queryset's `by_identifier`; without that method it is the id.
    """

    def __init__(
        self, visible: Callable[..., Rows], *samples: Any, unused: tuple[int, ...] = (), locked: bool = False
    ) -> None:
        """
        Args:
            visible: makes the queryset of a bearer and further values.
            samples: a sample of each further value, see `CompiledQuery`.
            unused: indexes of further values that the queryset may leave out.
            locked: whether the row is locked until the transaction ends.
        """
        self._visible, self._locked = visible, locked
        self._by_uuid = CompiledQuery(self._build, *samples, sample_uuid_text(), unused=unused)
        self._by_text = CompiledQuery(self._build, *samples, sample_text(), unused=unused)

    def find(self, identifier: str, bearer: Bearer, *values: Any) -> Any | None:
        """The row, or None."""
        if parse_uuid(identifier):
            return self._by_uuid.first(*values, identifier, bearer=bearer)
        rows = self._visible(bearer, *values)
        if not hasattr(rows, "by_identifier"):
            return None
        if getattr(rows, "needs_own_query", None) and rows.needs_own_query(identifier):
            return self._build(bearer, *values, identifier).first()
        return self._by_text.first(*values, identifier, bearer=bearer)

    def statement(self, id: UUID, bearer: Bearer, *values: Any) -> Statement[Any] | None:
        """The query for the row with an id, as a part of another statement; None if it cannot find one."""
        return self._by_uuid.statement(*values, str(id), bearer=bearer)

    @staticmethod
    def exists(rows: Rows, identifier: str) -> bool:
        """Whether an identifier names one of these rows."""
        if hasattr(rows, "by_identifier"):
            return bool(rows.by_identifier(identifier).exists())
        return bool(rows.filter(pk=parse_uuid(identifier)).exists())

    def _build(self, bearer: Bearer, *values: Any) -> Rows:
        *values, identifier = values  # type: ignore[assignment]
        rows = self._visible(bearer, *values)
        if hasattr(rows, "by_identifier"):
            rows = rows.by_identifier(identifier)
        else:
            rows = rows.filter(pk=parse_uuid(identifier))
        return rows.select_for_update(of=("self",)) if self._locked else rows


def not_found(model: type[Model], identifier: str) -> NotFound:
    """The error for a row that an identifier in a URL does not name."""
    if getattr(model.JSONAPIMeta, "identifiers_in_lower_case", False):  # type: ignore[attr-defined]
        identifier = identifier.lower()
    noun = getattr(model.JSONAPIMeta, "noun", model._meta.verbose_name)  # type: ignore[attr-defined]
    return NotFound.of(str(noun), identifier)


@dataclass(frozen=True, eq=False)
class Parent:
    """The resource that a nested URL lies below.

    Attributes:
        name: the URL parameter, and the attribute of the viewset that holds the row.
        rows: the queryset in which it is looked up; it has `visible_to`.
        narrow: returns those rows of the viewset that lie below the parent with an id.
    """

    name: str
    rows: Rows
    narrow: Callable[[Rows, UUID], Rows]

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(lambda bearer: self.rows.visible_to(bearer))

    def statement(self, id: UUID, bearer: Bearer) -> Statement[Any] | None:
        """The query for the parent, see `Lookup.statement()`."""
        return self._lookup.statement(id, bearer)

    def find(self, identifier: str, bearer: Bearer) -> Any:
        """The parent.

        Raises:
            NotFound: it does not exist, or the bearer may not see it.
        """
        row = self._lookup.find(identifier, bearer)
        if row is None:
            raise not_found(self.rows.model, identifier)
        return row
