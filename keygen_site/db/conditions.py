"""Conditions of queries."""

from typing import Any
from uuid import UUID

from django.db.models import BooleanField, F, Func, Q, QuerySet, Subquery


class _IsTrue(Func):
    template = "(%(expressions)s) IS TRUE"
    output_field = BooleanField()


def unindexed(**lookups: Any) -> Q:
    """A condition that the database checks row by row, without an index for it.

    For the first page of a list of which another index finds the rows in their order: PostgreSQL would rather walk
    through all rows of the account, if it expects to find enough of them early.
    """
    return Q(_IsTrue(Q(**lookups)))


def bounded(rows: QuerySet[Any], comparison: str, id: UUID) -> QuerySet[Any]:
    """The rows whose ids compare so with a bound: `lt`, `gt` or `gte`. A queryset may have its own method for this."""
    own = getattr(rows, "bounded", None)
    return own(comparison, id) if own else rows.filter(**{f"id__{comparison}": id})


def row_comparison(comparison: str, column: str, value: Any, id: Any) -> Func:
    """Compares rows by a column and then by id, e.g. `(created, id) < (…, …)`. For PostgreSQL.

    PostgreSQL starts reading an index by both columns at the given row. For `column < x OR (column = x AND id < y)`
    it reads all earlier rows of the index as well.

    Args:
        comparison: `lt`, `lte`, `gt` or `gte`.
        value: an expression, e.g. an `OuterRef`, or a `Value` with a field.
        id: likewise.
    """
    operator = {"lt": " < ", "lte": " <= ", "gt": " > ", "gte": " >= "}[comparison]
    rows = Func(F(column), F("id"), function="ROW"), Func(value, id, function="ROW")
    return Func(*rows, template="(%(expressions)s)", arg_joiner=operator, output_field=BooleanField())


class HasRow(Subquery):
    """Whether a correlated query finds a row: EXISTS that the database evaluates row by row.

    For the pages of a list, of which the rows are read in their order until the page is full. PostgreSQL would rather
    join an EXISTS, or an IN, with all rows of both tables.
    """

    template = "((%(subquery)s) IS NOT NULL)"
    output_field = BooleanField()

    def __init__(self, rows: QuerySet[Any]) -> None:
        super().__init__(rows.order_by().values("pk")[:1])
