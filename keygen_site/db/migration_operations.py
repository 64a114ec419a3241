"""Indexes on tables of millions of rows, made and dropped while others read and write: for migrations.

    class Migration(migrations.Migration):
        atomic = False  # PostgreSQL can do this outside of transactions only
        operations = [AddIndexOnline("key", models.Index(…, name="pools_key_…"))]

Each can be run again after it broke off. On SQLite, which has one writer at a time, they do what Django's own do.
"""

from contextlib import contextmanager

from django.db import migrations
from django.db.utils import NotSupportedError


class AddIndexOnline(migrations.AddIndex):
    """`AddIndex` that keeps nobody from writing."""

    atomic = False

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            with waiting_for_everybody(schema_editor):
                valid = is_valid(schema_editor, self.index.name)
                if valid is False:  # what is left of one that broke off
                    schema_editor.remove_index(model, self.index, concurrently=True)
                if not valid:
                    schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        drop(self, app_label, schema_editor, from_state, self.index)


class RemoveIndexOnline(migrations.RemoveIndex):
    """`RemoveIndex` that keeps nobody from writing."""

    atomic = False

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        drop(self, app_label, schema_editor, from_state, index)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        AddIndexOnline(self.model_name, index).database_forwards(app_label, schema_editor, from_state, to_state)


def drop(operation, app_label, schema_editor, state, index):
    """Drop an index, if it is there."""
    model = state.apps.get_model(app_label, operation.model_name)
    if operation.allow_migrate_model(schema_editor.connection.alias, model):
        with waiting_for_everybody(schema_editor):
            if is_valid(schema_editor, index.name) is not None:
                schema_editor.remove_index(model, index, concurrently=True)


def is_valid(schema_editor, name):
    """Whether an index is complete; None if there is none of this name."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", [name])
        row = cursor.fetchone()
    return row and row[0]


@contextmanager
def waiting_for_everybody(schema_editor):
    """Without LOCK_TIMEOUT: PostgreSQL waits here until all older transactions have ended, and nobody waits for it.

    Raises:
        NotSupportedError: the migration runs in a transaction.
    """
    if schema_editor.connection.in_atomic_block:
        raise NotSupportedError("An index cannot be made or dropped concurrently in a transaction: atomic = False.")
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        before = cursor.fetchone()[0]
        cursor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
