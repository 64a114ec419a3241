"""The members by which users and groups are searched (contract: search 3)."""

import re
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from accounts.models import User
from accounts.searchable import NO_ROWS, Id, Member, Metadata, Rows, Text
from keygen_site.db.text_search import Contains, filter_prefix

_TWO_NAMES = re.compile(r"\s*(\S+)\s+(.+)", re.DOTALL)

EMAIL = Text("email", is_indexed=True, is_lower=True)
FIRST_NAME = Text("first_name", is_indexed=True)
LAST_NAME = Text("last_name", is_indexed=True)


class FullName(Member):
    """A part of the first name, blanks, and a part of the last name."""

    def matching(self, term: str, account_id: UUID) -> Q:
        if match := _TWO_NAMES.fullmatch(term):
            return Q(Contains(F("first_name"), match[1])) & Q(Contains(F("last_name"), match[2]))
        return NO_ROWS

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        match = _TWO_NAMES.fullmatch(term)
        return filter_prefix(rows, "last_name", match[2]) if match else None


class Role(Member):
    """A part of the name of the role, which is spelt with underscores."""

    def matching(self, term: str, account_id: UUID) -> Q:
        return Q(role__in=self._roles(term))

    def find_by_index(self, rows: Any, term: str, account_id: UUID) -> Rows | None:
        roles = self._roles(term)
        return None if User.Role.USER in roles else rows.team().filter(role__in=roles)

    @staticmethod
    def _roles(term: str) -> list[str]:
        return [role for role in User.Role.values if term.lower() in role.replace("-", "_")]


MEMBERS = {
    "id": Id(),
    "email": EMAIL,
    "first_name": FIRST_NAME,
    "last_name": LAST_NAME,
    "full_name": FullName(),
    "name": FullName(),
    "role": Role(),
    "metadata": Metadata(),
}
GROUP_MEMBERS = {"name": Text("name")}
