"""Locks that no row stands for, held until the transaction ends. SQLite needs none: it has one writer at a time."""

from django.db import connection

from keygen_site.models import digest


def hold_text(account_id, text):
    """Hold a key text of an account: it becomes either a key in a pool or the key of a license, not both at once.

    Two tables hold such texts, so no unique constraint can say this.

    Raises:
        OperationalError: another transaction held it for longer than the setting LOCK_TIMEOUT.
    """
    _hold(digest(f"{account_id} {text}"))


def hold_pool(policy_id):
    """Hold a pool for taking many keys at once: two who do so could each wait for what the other has taken."""
    _hold(digest(f"pool {policy_id}"))


def _hold(name):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(name[:8], signed=True)])
