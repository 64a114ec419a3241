"""Conditions of queries."""

from typing import Any

from django.db.models import BooleanField, Func, Q


class _IsTrue(Func):
    template = "(%(expressions)s) IS TRUE"
    output_field = BooleanField()


def unindexed(**lookups: Any) -> Q:
    """A condition that the database checks row by row, without an index for it.

    For the first page of a list of which another index finds the rows in their order: PostgreSQL would rather walk
    through all rows of the account, if it expects to find enough of them early.
    """
    return Q(_IsTrue(Q(**lookups)))
