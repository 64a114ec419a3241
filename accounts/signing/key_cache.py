"""The private keys of accounts, ready to sign with. Nothing else hands them out."""

from functools import lru_cache
from threading import Lock

from accounts.models import SigningKey
from accounts.signing import algorithms

MOST = 4096
_loaded = {}
_lock = Lock()


def cached_private_key(account_id, kind):
    """The private key of an account, of a kind; this process remembers it, for loading costs more than signing.

    Call it outside of transactions, or in that which makes the account: what it remembers must not be rolled back.
    """
    name = (str(account_id), kind)
    key = _loaded.get(name)
    if key is None:
        key = algorithms.load(SigningKey.objects.of(account_id, kind).private)
        with _lock:
            if len(_loaded) >= MOST:
                _loaded.clear()
            _loaded[name] = key
    return key


def current(account_id, kind):
    """The same key for use within transactions: it is asked for each time, so nothing rolled back is remembered."""
    return _load(SigningKey.objects.of(account_id, kind).private)


_load = lru_cache(maxsize=256)(algorithms.load)
