"""Many commits to SQLite in a short time."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.utils import CursorWrapper

# Pages in the write-ahead log at which a commit copies them to the database. A page that many commits change is copied
# only once. With more pages, the commit of another connection may pause long to copy them.
SELDOM, USUAL = 20_000, 1_000


@contextmanager
def unsynced_commits(cursor: CursorWrapper) -> Iterator[None]:
    """Commit without waiting for the disk, for rows that are not visible yet.

    A power failure may undo the last commits, in reverse order. The next commit after the context waits for all of
    them. Within a transaction the context changes nothing, because the caller commits.
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
    """Raise the number of pages at which a commit copies the write-ahead log to the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA wal_autocheckpoint = {SELDOM:d}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA wal_autocheckpoint = {USUAL:d}")
