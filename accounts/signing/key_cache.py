"""Per-process caches of parsed signing keys."""

from threading import Lock
from uuid import UUID

from cachetools import LRUCache, cached

from accounts.models import Account, SigningKey
from accounts.signing.algorithms import PrivateKey, load_private_key

MAX_CACHED_ACCOUNT_KEYS = 4096
MAX_CACHED_PEMS = 256


def _account_and_kind(account: Account, kind: str) -> tuple[UUID, str, int]:
    # With the version, a process finds no old key in its cache after a rotation by another one.
    return account.pk, kind, account.signing_key_version


@cached(LRUCache(MAX_CACHED_ACCOUNT_KEYS), key=_account_and_kind, lock=Lock())
def cached_private_key(account: Account, kind: str) -> PrivateKey:
    """The private key of an account, cached because parsing it costs more than signing.

    Call it outside of transactions, or in the one that creates the account: a cached key must not be rolled back.
    """
    return load_private_key(SigningKey.objects.get_or_generate(account.pk, kind).private)


def private_key_in_transaction(account_id: UUID | str, kind: str) -> PrivateKey:
    """The private key of an account, read from the database at each call: it may be one that is rolled back."""
    return _parse(SigningKey.objects.get_or_generate(account_id, kind).private)


_parse = cached(LRUCache(MAX_CACHED_PEMS), lock=Lock())(load_private_key)
