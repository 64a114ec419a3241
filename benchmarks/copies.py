"""Many rows in a short time: copies of one row, each with some values of its own. Import it after `django.setup()`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from django.db import connection, transaction
from django.db.models import Model


def add_copies(template: Model, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows with the values of an unsaved object.

    Args:
        rows: the values by column that differ from the object's.
    """
    fields = template._meta.concrete_fields
    names = [str(field.column) for field in fields]
    values = [field.get_db_prep_save(field.pre_save(template, add=True), connection) for field in fields]
    places = {name: place for place, name in enumerate(names)}

    def complete() -> Iterator[list[Any]]:
        for row in rows:
            copy = values.copy()
            for name, value in row.items():
                copy[places[name]] = value
            yield copy

    table, columns = template._meta.db_table, ", ".join(f'"{name}"' for name in names)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cast(Any, cursor).copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in complete():
                    copy.write_row(row)
        else:
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(names))})", list(complete())
            )
