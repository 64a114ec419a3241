"""Transaction-scoped advisory locks (PostgreSQL). No-ops on SQLite, which has a single writer."""

from uuid import UUID

from django.db import connection

from keygen_site.db.fields import digest


def lock_key_text(account_id: UUID, text: str, *, for_license: bool = False) -> None:
    """Lock a key text of an account, which may become a key in a pool or the key of a license, but not both.

    Two tables have such texts, so no unique constraint covers both. An import does not lock a million texts one by one:
    it locks all texts of the account at its end, and checks for licenses created meanwhile. A single key that is added
    does not lock them all: there the unique constraint decides, and may wait for the import.

    Args:
        for_license: whether a license gets the text; this excludes an import that publishes its keys.

    Raises:
        OperationalError: another transaction held the lock for longer than the setting LOCK_TIMEOUT.
    """
    _lock(digest(f"{account_id} {text}"))
    if for_license:
        # Last: the holder waits for no other lock, so no import is part of a deadlock.
        _lock(_name_of_all_texts(account_id), shared=True)


def lock_all_key_texts(account_id: UUID) -> None:
    """Lock all key texts of an account against new licenses."""
    _lock(_name_of_all_texts(account_id))


def lock_imports(account_id: UUID) -> None:
    """Wait, without a limit, until no other import of the account runs, and keep others waiting."""
    _lock(_name_of_imports(account_id))


def try_lock_imports(account_id: UUID) -> bool:
    """Keep other imports of the account waiting. Returns false if another one runs already."""
    return _try_lock(_name_of_imports(account_id))


def lock_pending_imports(account_id: UUID) -> None:
    """Lock the number of pending imports of an account."""
    _lock(digest(f"pending imports {account_id}"))


def disable_timeouts() -> None:
    """Switch off all timeouts for the rest of the transaction: an import takes as long as its file is large."""
    if connection.vendor == "postgresql":
        timeouts = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"set_config('{name}', '0', true)" for name in timeouts))


def lock_pool(policy_id: UUID) -> None:
    """Lock a pool for taking several keys in one transaction: two such transactions could deadlock."""
    _lock(digest(f"pool {policy_id}"))


def lock_fingerprint(account_id: UUID, noun: str, text: str) -> None:
    """Lock a fingerprint of an account, which may have to be unique among the machines of several licenses.

    One lock for all ranges, whether a policy, a product or the account: two requests whose ranges overlap must see each
    other. A transaction that locks several locks the machine's first, then those of components in ascending order.

    Args:
        noun: `machine` or `component`.
    """
    _lock(digest(f"fingerprint of a {noun} {account_id} {text}"))


def _name_of_all_texts(account_id: UUID) -> bytes:
    return digest(f"texts {account_id}")


def _name_of_imports(account_id: UUID) -> bytes:
    return digest(f"import {account_id}")


def _lock(name: bytes, *, shared: bool = False) -> None:
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [int.from_bytes(name[:8], signed=True)])


def _try_lock(name: bytes) -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name[:8], signed=True)])
        return bool(cursor.fetchone()[0])
