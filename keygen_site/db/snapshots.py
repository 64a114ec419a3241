"""Long reads that see one state of the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def snapshot() -> Iterator[None]:
    """A read-only transaction in which all queries see the same state, however long it takes. It blocks no writer.

    Within it, `iterator()` of a queryset reads in flat memory, also behind a connection pooler: the transaction keeps
    its session.
    """
    if connection.vendor == "sqlite":
        with _read_transaction_of_sqlite():
            yield
        return
    options = connection.settings_dict
    before = options.get("DISABLE_SERVER_SIDE_CURSORS", False)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        options["DISABLE_SERVER_SIDE_CURSORS"] = False
        try:
            yield
        finally:
            options["DISABLE_SERVER_SIDE_CURSORS"] = before


@contextmanager
def _read_transaction_of_sqlite() -> Iterator[None]:
    # `atomic()` would begin with IMMEDIATE, which waits for writers and blocks them.
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
