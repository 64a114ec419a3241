"""Locks that no row stands for, held until the transaction ends. SQLite needs none: it has one writer at a time."""

from django.db import connection

from keygen_site.db.fields import digest


def lock_key_text(account_id, text, *, for_license=False):
    """Hold a key text of an account: it becomes either a key in a pool or the key of a license, not both at once.

    Two tables hold such texts, so no unique constraint can say this. An import cannot hold each of a million texts:
    it holds all of the account for a moment, and looks for licenses that came meanwhile. (Not so a single key: there
    the constraint on keys decides, and its holder may have to wait for the import.)

    Raises:
        OperationalError: another transaction held it for longer than the setting LOCK_TIMEOUT.
    """
    _hold(digest(f"{account_id} {text}"))
    if for_license:
        # Last: whoever holds it waits for nobody, so that an import never waits in a circle.
        _hold(_texts_of(account_id), shared=True)


def lock_all_key_texts(account_id):
    """Hold all key texts of an account against new licenses."""
    _hold(_texts_of(account_id))


def lock_imports(account_id):
    """Wait until no other import of the account runs, however long that takes, and hold the place.

    For the rest of the transaction nothing is timed: it waits for nobody's row for long, and its file may be slow.
    """
    if connection.vendor == "postgresql":
        timeouts = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"set_config('{name}', '0', true)" for name in timeouts))
    _hold(digest(f"import {account_id}"))


def lock_pool(policy_id):
    """Hold a pool for taking many keys at once: two who do so could each wait for what the other has taken."""
    _hold(digest(f"pool {policy_id}"))


def _texts_of(account_id):
    return digest(f"texts {account_id}")


def _hold(name, shared=False):
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [int.from_bytes(name[:8], signed=True)])
