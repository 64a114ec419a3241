"""How long a request may keep the database busy, and what it means when the database does not go on.

PostgreSQL keeps these limits itself, in each session, so they hold whatever becomes of the process. Commands have
none but LOCK_TIMEOUT: a migration or an import takes as long as it takes.
"""

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

# 55P03: a lock was waited for in vain, 40P01: two waited for each other, 57014: a statement took too long, 25P03: a
# transaction waited too long for its next one.
_TIMEOUTS = ("55P03", "40P01", "57014", "25P03")
# Class 08: the connection is broken, 57P: the server is stopping or starting, 53: it has no more memory, disk or
# connections, 25006: it is a replica.
_UNAVAILABLE = ("08", "57P", "53", "25006")


def limits():
    """The parameters of PostgreSQL and their values, in milliseconds, for sessions that answer requests."""
    return {
        "lock_timeout": int(settings.LOCK_TIMEOUT * 1000),
        "statement_timeout": int(settings.STATEMENT_TIMEOUT * 1000),
        "idle_in_transaction_session_timeout": int(settings.IDLE_TRANSACTION_TIMEOUT * 1000),
    }


def apply_request_limits():
    """Have the sessions that this process opens from now on keep the limits of requests.

    Through a pooler that cannot be said (`keygen_site.checks` asks whether the role says it).
    """
    for connection in connections.all():
        if connection.vendor == "postgresql" and not settings.CONNECTION_POOLER:
            options = connection.settings_dict["OPTIONS"]  # all threads read this one
            said = " ".join(f"-c {name}={value}" for name, value in limits().items())
            options["options"] = f"{options.get('options', '')} {said}".strip()


def is_timeout(error):
    """Whether a database error says that something was waited for in vain, or took too long: nothing has happened.

    On SQLite, that the database was busy for too long.
    """
    return _state(error) in _TIMEOUTS or "database is locked" in str(error)


def is_unavailable(error):
    """Whether a database error says that the database cannot be reached, or only be read.

    Where the connection broke in the middle, nobody knows whether the last statement had its effect.
    """
    # psycopg's errors of the connection itself have no state; those of SQLite have no such attribute at all.
    broken = isinstance(error, OperationalError | InterfaceError) and getattr(error.__cause__, "sqlstate", "") is None
    return broken or _state(error).startswith(_UNAVAILABLE)


def _state(error):
    return getattr(error.__cause__, "sqlstate", None) or ""
