"""The operators of ledger entries and imports: by user id, for an email can change, and can pass to another user."""

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.html import format_html

from accounts.models import User


def with_operators(rows: Any) -> "QuerySet[Any]":
    """Annotate rows that have an `operator_id` with the values that `operator_name()` needs."""
    user = User.objects.filter(pk=OuterRef("operator_id")).order_by()
    return rows.annotate(
        operator_email=Subquery(user.values("email")), operator_is_superuser=Subquery(user.values("is_superuser"))
    )


def operator_name(row: Any) -> str:
    """The recorded email of an operator as HTML, with the user's present one where they differ.

    Empty without an operator. An email is unique among the users of an account and among superusers, so a superuser is
    marked: a user of an account may have the same email.
    """
    if row.operator_id is None:
        return row.operator
    notes = []
    if row.operator_email is None:
        notes.append("deleted user")
    elif row.operator_email != row.operator:
        notes.append(f"now {row.operator_email}")
    if row.operator_is_superuser:
        notes.append("superuser")
    name = format_html('<span title="user {}">{}</span>', row.operator_id, row.operator)
    return format_html('{} <span class="quiet">({})</span>', name, ", ".join(notes)) if notes else name
