"""Searches of the console: whose rows are searched, and the search for users."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Account, User
from accounts.searchable import Text, searchable_of
from keygen_site.db.text_search import MIN_PART_CHARACTERS, filter_prefix, fold, scan
from keygen_site.db.uuids import parse_uuid

MAX_FOUND_ROWS = 50  # of each kind
MAX_SEARCHED_ACCOUNTS = 1_000

Rows = TypeVar("Rows", bound=QuerySet)


@dataclass(frozen=True)
class SearchScope:
    """The rows that are searched: those of an account; those of all accounts if it is None, for superusers.

    The conditions name the accounts, because the indexes begin with them.
    """

    account: Account | None

    @classmethod
    def of(cls, operator: User) -> "SearchScope":
        """The scope of an operator of the console: the own account, or all for superusers."""
        return cls(None if operator.is_superuser else operator.account)

    @cached_property
    def account_ids(self) -> list[UUID]:
        """The accounts: one, or the newest MAX_SEARCHED_ACCOUNTS."""
        if self.account is not None:
            return [self.account.pk]
        return list(Account.objects.order_by("-pk").values_list("pk", flat=True)[:MAX_SEARCHED_ACCOUNTS])

    def rows(self, rows: Rows) -> Rows:
        """The rows of the accounts, without an order."""
        if self.account is not None:
            return rows.filter(account=self.account).order_by()
        return rows.filter(account__in=self.account_ids).order_by()

    def newest(self, rows: Rows) -> Rows:
        """The rows of the accounts, newest first."""
        if self.account is None:
            return rows.order_by("-pk")
        # By `created` where clients may choose ids.
        return rows.filter(account=self.account).order_by(*rows.model._meta.ordering)


@dataclass(frozen=True)
class Found:
    """The ids of rows that were found.

    Attributes:
        exact: those that the text names: by their id, or by a whole key, email or name.
        partial: the others.
    """

    exact: list[UUID]
    partial: list[UUID]

    @property
    def ids(self) -> list[UUID]:
        return [*self.exact, *self.partial]


NOTHING = Found([], [])


def found(exact: list[UUID], partial: list[UUID]) -> Found:
    """The rows that were found, each once."""
    return Found(list(dict.fromkeys(exact)), [pk for pk in dict.fromkeys(partial) if pk not in exact])


def ids_of(rows: QuerySet) -> list[UUID]:
    """The first ids of a search."""
    return list(rows.values_list("pk", flat=True)[:MAX_FOUND_ROWS])


def find_texts(rows: QuerySet, newest: QuerySet, texts: Sequence[Text], text: str) -> list[UUID]:
    """The ids of the rows with a text in one of some columns.

    By the beginning of an indexed column, all rows are searched; by other parts, the newest MAX_SCANNED_ROWS.

    Args:
        rows: without an order.
        newest: the same rows, newest first.
    """
    partial: list[UUID] = []
    for each in texts:
        if each.is_indexed:
            partial += ids_of(filter_prefix(rows, each.column, text, is_lower=each.is_lower))
    if len(set(partial)) >= MAX_FOUND_ROWS:
        return partial  # no more are shown
    return partial + scan(newest, [each.column for each in texts], text)


def find_users(scope: SearchScope, text: str) -> Found:
    """The users with an id, an email or a name, or with a part of an email or name.

    By the beginning of each, all users are searched; by another part, the newest MAX_SCANNED_ROWS.
    """
    users = scope.rows(User.objects.all())
    if uuid := parse_uuid(text):
        return found(ids_of(users.filter(pk=uuid)), [])
    exact = ids_of(users.filter(email=text.lower()))
    words = text.split()
    if exact or len(text) < MIN_PART_CHARACTERS or not words:
        return found(exact, [])
    partial: list[UUID] = []
    if len(words) > 1:
        first_names = users.filter(first_name__istartswith=words[0])
        partial += ids_of(filter_prefix(first_names, "last_name", words[-1]))
    partial += find_texts(users, scope.newest(User.objects.all()), searchable_of(User).texts, text)
    partial = partial[:MAX_FOUND_ROWS]
    names = User.objects.filter(pk__in=partial).order_by().values_list("pk", "first_name", "last_name")
    exact = [pk for pk, first, last in names if fold(f"{first or ''} {last or ''}".strip()) == fold(text)]
    return found(exact, partial)
