"""Constants in SQL."""

from typing import Any

from django.db import models


class Literal(models.Value):
    """A constant that is written into the SQL instead of being passed as a parameter.

    SQLite uses a partial index only for the literals of its condition. psycopg takes time for each parameter of a long
    statement.
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return (str(self.value) if isinstance(self.value, int) else f"'{self.value}'"), ()
