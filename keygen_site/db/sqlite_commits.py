"""Many commits to SQLite in a short time."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.utils import CursorWrapper

# Pages in the write-ahead log before a commit copies them to the database. A page that many commits change is copied
# once for all of them. More pages would be a long pause for whoever commits next.
SELDOM, USUAL = 20_000, 1_000


@contextmanager
def unsynced_commits(cursor: CursorWrapper) -> Iterator[None]:
    """Commits that do not wait for the disk, for rows that nobody relies on yet.

    A loss of power may undo the last of them, in their order. The next commit after the context waits for all. Within a
    transaction nothing changes: its commit is another's.
    """
    if connection.in_atomic_block:
        yield
        return
    cursor.execute("PRAGMA synchronous")
    (usual,) = cursor.fetchone()
    cursor.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        cursor.execute(f"PRAGMA synchronous = {usual:d}")


@contextmanager
def rare_checkpoints() -> Iterator[None]:
    """Copy the write-ahead log to the database after more pages than usual."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA wal_autocheckpoint = {SELDOM:d}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA wal_autocheckpoint = {USUAL:d}")
