"""Migration operations that add and remove indexes of large tables without blocking writers.

    class Migration(migrations.Migration):
        atomic = False  # PostgreSQL builds an index concurrently only outside of transactions
        operations = [AddIndexOnline("key", models.Index(…, name="pools_key_…"))]

An operation that was interrupted can be run again. On SQLite, which has a single writer, they equal Django's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import migrations, models
from django.db.migrations.state import ProjectState
from django.db.utils import NotSupportedError


class AddIndexOnline(migrations.AddIndex):
    """`AddIndex` that does not block writers."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            with without_lock_timeout(schema_editor):
                valid = is_index_valid(schema_editor, self.index.name)
                if valid is False:  # left by an interrupted run
                    schema_editor.remove_index(model, self.index, concurrently=True)
                if not valid:
                    schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        drop_index(self, app_label, schema_editor, from_state, self.index)


class RemoveIndexOnline(migrations.RemoveIndex):
    """`RemoveIndex` that does not block writers."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        drop_index(self, app_label, schema_editor, from_state, index)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        AddIndexOnline(self.model_name, index).database_forwards(app_label, schema_editor, from_state, to_state)


def drop_index(
    operation: migrations.AddIndex | migrations.RemoveIndex,
    app_label: str,
    schema_editor: Any,
    state: ProjectState,
    index: models.Index,
) -> None:
    """Drop an index if it exists."""
    model = state.apps.get_model(app_label, operation.model_name)
    if operation.allow_migrate_model(schema_editor.connection.alias, model):
        with without_lock_timeout(schema_editor):
            if is_index_valid(schema_editor, index.name) is not None:
                schema_editor.remove_index(model, index, concurrently=True)


def is_index_valid(schema_editor: Any, name: str) -> bool | None:
    """Whether an index is complete; None if it does not exist."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", [name])
        row = cursor.fetchone()
    return row and row[0]


@contextmanager
def without_lock_timeout(schema_editor: Any) -> Iterator[None]:
    """Lift `lock_timeout`: CREATE INDEX CONCURRENTLY waits for all older transactions, but blocks no writer.

    Raises:
        NotSupportedError: the migration runs in a transaction.
    """
    if schema_editor.connection.in_atomic_block:
        raise NotSupportedError(
            "PostgreSQL cannot add or drop an index concurrently in a transaction: set atomic = False in the migration."
        )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        before = cursor.fetchone()[0]
        cursor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
