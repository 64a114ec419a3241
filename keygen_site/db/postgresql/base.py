"""Django's PostgreSQL backend, with fewer round trips to the server.

- The first statement of a request shows whether its connection still works, instead of a query just for that.
- BEGIN is sent together with the first statement of a transaction.
- COMMIT is sent together with the last statement, where `send_with_commit()` says which one that is.
- psycopg's C loader parses timestamps, and psycopg caches the translated placeholders of long statements.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

from django.conf import settings
from django.db import Error, InternalError, connection
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper, debug_transaction
from psycopg import ServerCursor, _queries
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader

from keygen_site.db.session_limits import is_unavailable

# The stubs lack the private parts of Django that are overridden here.
_Cursor: Any = CursorWrapper
_DebugCursor: Any = base.CursorDebugWrapper
_Wrapper: Any = base.DatabaseWrapper
_ServerSideCursor: Any = base.ServerSideCursor

# Longest statement whose translated placeholders psycopg caches, in bytes. Its default of 4,096 is too short for the
# compiled query of a license (5,400 bytes), which took 80 µs to translate for each request.
_queries.MAX_CACHED_STATEMENT_LENGTH = 16_384


@contextmanager
def send_with_commit() -> Iterator[None]:
    """Send the statement of the block without waiting for its result, which the COMMIT brings.

    It must be the last statement of a transaction: an error, such as that of a unique value which is taken, is raised
    where the transaction ends. Nothing may depend on how many rows it changes. If another statement follows after all,
    that waits for the result first. On SQLite, and behind a pooler, this has no effect.
    """
    # PgBouncer could take the end of the pipeline for another use of a session.
    if connection.vendor != "postgresql" or settings.CONNECTION_POOLER:
        yield
        return
    session = cast(Any, connection)
    session.sends_with_commit = True
    try:
        yield
    finally:
        session.sends_with_commit = False


class _SendingCursor(_Cursor):
    """Sends statements as the module's text says."""

    db: "DatabaseWrapper"

    def copy(self, *arguments: Any, **options: Any) -> Any:
        self._begin()
        return self.cursor.copy(*arguments, **options)

    def _executemany(self, sql: str, param_list: Any, *context: Any) -> Any:
        self._begin()
        return super()._executemany(sql, param_list)

    def _execute(self, sql: str, params: Any, *context: Any) -> Any:
        db = self.db
        if db.is_unproven:
            return self._execute_first(sql, params)
        # A pipeline has neither cursors of the server nor, in one text, several statements, which have no parameters.
        may_wait = params is not None and not isinstance(self.cursor, ServerCursor)
        if may_wait and db.must_begin:
            with db.wrap_database_errors, db.connection.pipeline():
                db.connection.execute("BEGIN")
                return super()._execute(sql, params)
        self._begin()
        if may_wait and db.sends_with_commit and db.is_in_transaction:
            db.enter_pipeline()
        return super()._execute(sql, params)

    def _begin(self) -> None:
        """Let all earlier statements have their results, and the transaction have its BEGIN."""
        if self.db.is_unproven:
            self._prove()
        self.db.leave_pipeline()
        if self.db.must_begin:
            with self.db.wrap_database_errors:
                self.db.connection.execute("BEGIN")

    def _execute_first(self, sql: str, params: Any) -> Any:
        """Execute the first statement after a pause, in which the server may have closed the connection."""
        # Only a query can be repeated: it is unknown whether a statement that broke off had its effect.
        if not sql.lstrip().startswith("SELECT"):
            self._prove()
            return self._execute(sql, params)
        self.db.health_check_done = True
        try:
            return super()._execute(sql, params)
        except Error as error:
            if not is_unavailable(error):
                raise
            self._connect_again()
            return super()._execute(sql, params)

    def _prove(self) -> None:
        """Ask the server whether the connection still works, and connect again if not."""
        self.db.health_check_done = True
        if not self.db.is_usable():
            self._connect_again()

    def _connect_again(self) -> None:
        self.db.close()
        with self.db.wrap_database_errors:
            self.db.connect()
            self.cursor = self.db.create_cursor()


class _SendingDebugCursor(_SendingCursor, _DebugCursor):
    pass


class DatabaseWrapper(_Wrapper):
    """A connection.

    Attributes:
        sends_with_commit: see `send_with_commit()`.
        pipeline: the open pipeline of a statement that is sent with the COMMIT.
        is_in_transaction: whether statements are part of a transaction, which may still have to begin.
    """

    sends_with_commit = False
    pipeline: AbstractContextManager[Any] | None = None
    is_in_transaction = False
    health_check_done: bool

    @property
    def is_unproven(self) -> bool:
        """Whether no statement has been executed since the request began. A transaction begins with Django's check."""
        return self.health_check_enabled and not self.health_check_done and not self.is_in_transaction

    @property
    def must_begin(self) -> bool:
        """Whether the next statement is the first one of a transaction."""
        return self.is_in_transaction and self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        session = super().get_new_connection(conn_params)
        session.autocommit = True  # for ever: otherwise psycopg itself sends BEGIN, and waits for the result
        # psycopg's loader in C, 25 times as fast as Django's in Python. Django sets the time zone of sessions to UTC.
        session.adapters.register_loader("timestamptz", TimestamptzLoader)
        return session

    def create_cursor(self, name: str | None = None) -> Any:
        """Create a cursor as Django does, but without registering Django's loader of timestamps."""
        session = self.connection
        if name is None:
            return session.cursor()
        options = {"name": name, "scrollable": False, "withhold": session.autocommit}
        if self.settings_dict["OPTIONS"].get("server_side_binding"):
            return session.cursor(**options)
        return _ServerSideCursor(session, **options)

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit:
            with self.wrap_database_errors:
                self.connection.autocommit = True  # psycopg refuses it if a transaction has not ended
        self.is_in_transaction = not autocommit

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return _SendingCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorWrapper:
        return _SendingDebugCursor(cursor, self)

    def _cursor(self, name: str | None = None) -> CursorWrapper:
        if name is not None:
            return super()._cursor(name)
        self.ensure_connection()  # without a check, which is up to the first statement
        with self.wrap_database_errors:
            return self._prepare_cursor(self.create_cursor())

    def enter_pipeline(self) -> None:
        self.pipeline = self.connection.pipeline()
        with self.wrap_database_errors:
            self.pipeline.__enter__()

    def leave_pipeline(self) -> None:
        """Wait for the results of the statements that were sent."""
        pipeline, self.pipeline = self.pipeline, None
        if pipeline is not None:
            with self.wrap_database_errors:
                pipeline.__exit__(None, None, None)

    def _commit(self) -> None:
        if self.connection and self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            raise InternalError("a statement of the transaction has failed")  # COMMIT would roll back, and succeed
        if self.pipeline is None:
            super()._commit()
        else:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self.connection.execute("COMMIT")
                self.leave_pipeline()

    def _rollback(self) -> None:
        with suppress(Error):  # of the statement, for which the transaction is rolled back
            self.leave_pipeline()
        super()._rollback()

    def _savepoint_rollback(self, sid: str) -> None:
        with suppress(Error):
            self.leave_pipeline()
        super()._savepoint_rollback(sid)

    def _close(self) -> None:
        self.pipeline = None
        super()._close()
