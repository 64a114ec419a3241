"""Writing to temporary tables of SQLite."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.utils import CursorWrapper


@contextmanager
def temporary_writes(cursor: CursorWrapper) -> Iterator[None]:
    """One transaction for many statements on temporary tables, which does not lock the database.

    Without it each row would be a transaction. A savepoint begins a deferred one, unlike Django's.
    """
    cursor.execute("SAVEPOINT temporary_writes")
    try:
        yield
    except BaseException:
        cursor.execute("ROLLBACK TO temporary_writes")
        raise
    finally:
        cursor.execute("RELEASE temporary_writes")
