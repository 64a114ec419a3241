"""Arrays as PostgreSQL reads them."""

from collections.abc import Iterable


def array_literal(values: Iterable[bytes]) -> str:
    """An array of bytea, to be cast: `%s::bytea[]`. psycopg takes four times as long to write a list of bytes."""
    return "{" + ",".join([f'"\\\\x{each.hex()}"' for each in values]) + "}"
