"""The search of the keys in the console."""

from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts.models import Account
from keygen_site.db.key_digests import ENDING_CHARACTERS, key_digester
from keygen_site.db.uuids import parse_uuid
from pools.models import Key, KeyEvent
from pools.models.keys import KeyQuerySet

MAX_FOUND_KEYS = 200  # of each kind of search
MAX_SEARCHED_KEYS = 10_000  # available keys that are searched by their last characters


def find_keys(text: str, account: Account | None = None) -> set[UUID]:
    """The ids of the keys that a text may mean.

    The text is a whole key, the id of a key or of a license, the reference of an event, or the last four characters of
    a key. By these, all keys that left their pool are found, but only the first MAX_SEARCHED_KEYS available ones: they
    have no such index, so that imports stay fast.

    Args:
        account: the account to search; None for all.
    """
    # Each kind has a query of its own: an OR of them could use no index. Each index begins with the account.
    accounts: Any = [account.pk] if account else Account.objects.values("pk")
    keys = Key.objects.filter(account__in=accounts)
    if exact := _ids(keys.with_key(text)):
        return exact
    # Without an order: to keep that of the ledger, SQLite would scan all of it.
    events = KeyEvent.objects.filter(account__in=accounts, key__isnull=False).order_by()
    found = set(events.filter(reference=text).exclude(reference="").values_list("key", flat=True)[:MAX_FOUND_KEYS])
    if uuid := parse_uuid(text):
        found |= _ids(keys.filter(pk=uuid))
        found |= set(events.filter(license=uuid).values_list("key", flat=True)[:MAX_FOUND_KEYS])
    if len(text) == ENDING_CHARACTERS:
        ending = key_digester().ending(text)
        used = keys.filter(Q(popped__isnull=False) | Q(withdrawn__isnull=False)).filter(ending=ending)
        found |= _ids_ending_with(text, used)
        # Compared here: the database would scan all keys.
        some = keys.available().order_by().values_list("pk", "ending")[:MAX_SEARCHED_KEYS]
        same = [pk for pk, its_ending in some if its_ending == ending]
        found |= _ids_ending_with(text, keys.filter(pk__in=same[:MAX_FOUND_KEYS]))
    return found


def _ids_ending_with(text: str, keys: KeyQuerySet) -> set[UUID]:
    """The ids of the keys that end with a text. A few others have the same number for their ending."""
    return {pk for pk, key in keys.order_by().values_list("pk", "key")[:MAX_FOUND_KEYS] if key.endswith(text)}


def _ids(keys: KeyQuerySet) -> set[UUID]:
    return set(keys.order_by().values_list("pk", flat=True)[:MAX_FOUND_KEYS])
