"""Time limits of database sessions that serve requests, and the errors that they cause.

PostgreSQL enforces the limits in each session, even if the process hangs. Commands have no limit but
LOCK_TIMEOUT: a migration or an import may take hours.
"""

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections
from django.db.utils import Error

# SQLSTATEs: 55P03 lock timeout, 40P01 deadlock, 57014 statement timeout, 25P03 idle transaction timeout.
_TIMEOUTS = ("55P03", "40P01", "57014", "25P03")
# Beginnings of SQLSTATEs: 08 broken connection, 57P server stopping or starting, 53 no more memory, disk or
# connections, 25006 a replica, which is read-only.
_UNAVAILABLE = ("08", "57P", "53", "25006")


def request_limits() -> dict[str, int]:
    """The limits of sessions that serve requests: parameters of PostgreSQL, in milliseconds."""
    return {
        "lock_timeout": int(settings.LOCK_TIMEOUT * 1000),
        "statement_timeout": int(settings.STATEMENT_TIMEOUT * 1000),
        "idle_in_transaction_session_timeout": int(settings.IDLE_TRANSACTION_TIMEOUT * 1000),
    }


def apply_request_limits() -> None:
    """Set the limits in all sessions that this process opens from now on.

    A pooler does not pass them on; `keygen_site.checks` reports a role without them.
    """
    for connection in connections.all():
        if connection.vendor == "postgresql" and not settings.CONNECTION_POOLER:
            options = connection.settings_dict["OPTIONS"]  # shared by all threads
            limits = " ".join(f"-c {name}={value}" for name, value in request_limits().items())
            options["options"] = f"{options.get('options', '')} {limits}".strip()


def is_timeout(error: Error) -> bool:
    """Whether a wait or a statement took too long, so that nothing has happened; on SQLite, a wait for its writer."""
    return _sqlstate(error) in _TIMEOUTS or "database is locked" in str(error)


def is_unavailable(error: Error) -> bool:
    """Whether the database cannot be reached, or is read-only.

    If the connection broke during a statement, it is unknown whether that had its effect.
    """
    # psycopg's errors of the connection itself have the state None; those of SQLite have no such attribute.
    broken = isinstance(error, OperationalError | InterfaceError) and getattr(error.__cause__, "sqlstate", "") is None
    return broken or _sqlstate(error).startswith(_UNAVAILABLE)


def _sqlstate(error: Error) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""
