"""Finding keys by what an operator has in hand."""

from django.db.models import Q
from django.db.models.functions import Right

from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from pools.models import Key, KeyEvent
from pools.models.keys import ENDING

MOST_FOUND = 200
MOST_WAITING = 10_000  # waiting keys that are looked through for their last characters


def find_keys(text, account=None):
    """The ids of the keys that a text is about: MOST_FOUND at most of a kind.

    The text is a whole key, an id of a key or of a license, the reference of an act, or a key's last four
    characters. Keys that left their pool are all found by these; of those that wait, MOST_WAITING are looked at: no
    index has them, so that an import need not fill it.

    Args:
        account: whose keys; None: everybody's.
    """
    # Each kind is asked for by itself: an OR of them all could use no index. And each index begins with the account.
    accounts = [account.pk] if account else Account.objects.values("pk")
    keys = Key.objects.filter(account__in=accounts)
    if exact := _ids(keys.with_key(text)):
        return exact
    # In any order: for that of the ledger, SQLite walks over all of it.
    events = KeyEvent.objects.filter(account__in=accounts, key__isnull=False).order_by()
    found = set(events.filter(reference=text).exclude(reference="").values_list("key", flat=True)[:MOST_FOUND])
    if uuid := parse_uuid(text):
        found |= _ids(keys.filter(pk=uuid))
        found |= set(events.filter(license=uuid).values_list("key", flat=True)[:MOST_FOUND])
    if len(text) == ENDING:
        ending = Right("key", ENDING)
        gone = keys.filter(Q(popped__isnull=False) | Q(withdrawn__isnull=False))
        found |= _ids(gone.alias(ending=ending).filter(ending=text))
        # Compared here: a database that was asked for it would look at every key there is.
        some = keys.available().order_by().values_list("pk", ending)[:MOST_WAITING]
        found |= {pk for pk, its_ending in some if its_ending == text}
    return found


def _ids(keys):
    return set(keys.order_by().values_list("pk", flat=True)[:MOST_FOUND])
