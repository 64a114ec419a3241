"""The search of users by a part of their email or name, also by the domain of the email."""

from uuid import UUID

from accounts.models import User
from accounts.models.email_domains import email_domain
from accounts.search import SearchScope, find_users, ids_of
from keygen_site.db.text_search import MIN_PART_CHARACTERS

_LAST_CHARACTER = "\U0010ffff"


def find_customers(scope: SearchScope, text: str) -> list[UUID]:
    """The ids of the users that a text may mean: see `find_users()`. A domain is found by its beginning.

    Each index reads no more rows than it may return. Another part of a text is found among the newest users.
    """
    text = text.strip()
    found = find_users(scope, text).ids
    domain = text.lower().removeprefix("@")
    if len(domain) >= MIN_PART_CHARACTERS:
        users = scope.rows(User.objects.all()).alias(domain=email_domain("email"))
        found += ids_of(users.filter(domain__gte=domain, domain__lt=domain + _LAST_CHARACTER))
    return list(dict.fromkeys(found))
