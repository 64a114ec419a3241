"""Conditions of queries."""

from typing import Any

from django.db.models import BooleanField, Func, Q, QuerySet, Subquery


class _IsTrue(Func):
    template = "(%(expressions)s) IS TRUE"
    output_field = BooleanField()


def unindexed(**lookups: Any) -> Q:
    """A condition that the database checks row by row, without an index for it.

    For the first page of a list of which another index finds the rows in their order: PostgreSQL would rather walk
    through all rows of the account, if it expects to find enough of them early.
    """
    return Q(_IsTrue(Q(**lookups)))


class HasRow(Subquery):
    """Whether a correlated query finds a row: EXISTS that the database evaluates row by row.

    For the pages of a list, of which the rows are read in their order until the page is full. PostgreSQL would rather
    join an EXISTS, or an IN, with all rows of both tables.
    """

    template = "((%(subquery)s) IS NOT NULL)"
    output_field = BooleanField()

    def __init__(self, rows: QuerySet[Any]) -> None:
        super().__init__(rows.order_by().values("pk")[:1])
