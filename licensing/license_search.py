"""The search of the list of licenses."""

from uuid import UUID

from accounts.customer_search import find_customers
from accounts.search import SearchScope
from licensing.key_spellings import spell_key
from licensing.search import find_licenses, find_licenses_by_key


def search_licenses(scope: SearchScope, text: str, *, may_reveal: bool) -> list[UUID]:
    """The ids of the licenses that match a text: by id or key, or else by a part of key, name, reference or customer.

    By the beginning of these, and of the domain of the email, all licenses are searched; by another part, the newest
    MAX_SCANNED_ROWS.

    Args:
        may_reveal: whether the operator may reveal keys. Other operators find keys by their visible characters.
    """
    text = text.strip()
    if exact := find_licenses_by_key(scope, text, lambda: spell_key(text)):
        return exact
    return find_licenses(scope, text, may_reveal=may_reveal, owners=find_customers(scope, text)).ids
