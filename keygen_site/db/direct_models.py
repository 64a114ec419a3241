"""Models that bypass Django's query compiler for INSERT and for simple UPDATE, and `__init__()` when they load rows.

The compiler takes longer than the statement itself. `compiled_queries` bypasses it for look-ups.
"""

from collections.abc import Sequence
from typing import Any, Self, cast

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.base import ModelState


class DirectModel(models.Model):
    """Model base class. Behaves as Django's `Model`, except that loading a row sends no `pre_init` or `post_init`."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any, **options: Any) -> Self:
        # Django's version calls `__init__()`, which sets each attribute separately and sends signals.
        row = cls.__new__(cls)
        row._state = state = ModelState()
        state.adding, state.db = False, db
        if options.get("fetch_mode") is not None:  # of Django 6.1
            state.fetch_mode = options["fetch_mode"]
        row.__dict__.update(zip(field_names, values, strict=True))
        return row

    def update_columns(self, **values: Any) -> bool:
        """Set fields of this instance and of its row, by one UPDATE. Checks no rules and changes no other fields.

        Args:
            values: new values by field name. Expressions are not supported.

        Returns:
            False if the row has been deleted, or if the result is not known yet (`send_with_commit()`).
        """
        meta: Any = self._meta
        connection = connections[DEFAULT_DB_ALIAS]
        quote = connection.ops.quote_name
        fields: list[Any] = [meta.get_field(name) for name in values]
        columns = ", ".join([f"{quote(field.column)} = %s" for field in fields])
        parameters = [field.get_db_prep_save(values[field.name], connection) for field in fields]
        parameters.append(meta.pk.get_db_prep_save(self.pk, connection))
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(meta.db_table)} SET {columns} WHERE {quote(meta.pk.column)} = %s", parameters
            )
            is_found = cursor.rowcount > 0
        for name, value in values.items():
            setattr(self, name, value)
        return is_found

    def _do_insert(
        self, manager: Any, using: str, fields: Sequence[Any], returning_fields: Sequence[Any], raw: bool
    ) -> Any:
        connection = connections[using]  # the proxy `django.db.connection` is slow
        values = [getattr(self, field.attname) if raw else field.pre_save(self, True) for field in fields]
        if any(map(_is_expression, values)):
            return cast(Any, super())._do_insert(manager, using, fields, returning_fields, raw)
        quote = connection.ops.quote_name
        columns = ", ".join([quote(field.column) for field in fields])
        marks = ", ".join(["%s"] * len(fields))
        parameters = [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {quote(self._meta.db_table)} ({columns}) VALUES ({marks})", parameters)
        # Django expects the values of fields with a database default. Here they are all set by Python.
        return [[getattr(self, field.attname) for field in returning_fields]]


def _is_expression(value: Any) -> bool:
    return hasattr(value, "resolve_expression")
