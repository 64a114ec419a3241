"""Searches for parts of short texts, in any case: indexes for their beginning and their last characters.

Nothing here needs an extension of the database. A part in the middle of a text is found by reading the newest rows.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Lower

MIN_PART_CHARACTERS = 3
TAIL_CHARACTERS = 4
MAX_SCANNED_ROWS = 5_000  # the newest ones
MAX_SCANNED_MATCHES = 50
_LAST_CHARACTER = "\U0010ffff"
_UUID_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))  # the first digit, from 1, and the number of digits

Rows = TypeVar("Rows", bound=QuerySet[Any])


class BinaryOrder(Func):
    """A text, compared by its code points: in this order, an index finds texts by their beginning.

    It is the order of SQLite anyway.
    """

    template = '%(expressions)s COLLATE "C"'
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="%(expressions)s", **context)


class Tail(Func):
    """The last TAIL_CHARACTERS of a text. The number is part of the SQL: SQLite uses no index for a parameter."""

    template = f"RIGHT(%(expressions)s, {TAIL_CHARACTERS})"
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=f"SUBSTR(%(expressions)s, -{TAIL_CHARACTERS})", **context)


def folded_column(name: str) -> BinaryOrder:
    """A column in lower case, as it is indexed for `filter_prefix()`."""
    return BinaryOrder(Lower(name))


def filter_prefix(rows: Rows, name: str, text: str, *, is_lower: bool = False) -> Rows:
    """The rows in which a column begins with a text, in any case.

    The model has an index that ends with `folded_column(name)`.

    Args:
        is_lower: whether the column is stored in lower case; the index is then by `BinaryOrder(name)`.
    """
    column = BinaryOrder(F(name)) if is_lower else folded_column(name)
    prefix = text.lower()
    rows = rows.filter(**{f"{name}__isnull": False}).alias(folded=column)
    return rows.filter(folded__gte=prefix, folded__lt=prefix + _LAST_CHARACTER)


def binary_range(name: str, prefix: str) -> Q:
    """The texts of a column that begin with a prefix, on a database that compares by code points."""
    return Q(**{f"{name}__gte": prefix, f"{name}__lt": prefix + _LAST_CHARACTER})


def fold(text: str) -> str:
    """A text in lower case and without accents: "Novák" and "novak" are found by each other."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))


def scan(rows: QuerySet[Any], names: Sequence[str], text: str, limit: int = MAX_SCANNED_MATCHES) -> list[Any]:
    """The ids of those of the first MAX_SCANNED_ROWS whose columns contain all words of a text.

    They are compared here: PostgreSQL would use no index either, and might read all rows for a few.
    """
    words, ids = fold(text).split(), []
    for pk, *values in rows.values_list("pk", *names)[:MAX_SCANNED_ROWS]:
        whole = fold(" ".join(filter(None, values)))
        if all(word in whole for word in words):
            ids.append(pk)
            if len(ids) == limit:
                break
    return ids


class Fold(Func):
    """A text in lower case, on SQLite for letters beyond ASCII too."""

    function = "LOWER"
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="casefold", **context)  # see `keygen_site.db.sqlite`


def filter_equal(rows: Rows, name: str, text: str) -> Rows:
    """The rows in which a column is a text, in any case: those that a unique constraint on `Lower(name)` refuses.

    Not `iexact`, which compares in upper case on PostgreSQL: there the Kelvin sign is no k, but in lower case it is.
    """
    return rows.alias(folded=Fold(F(name))).filter(folded=Fold(Value(text)))


class Contains(Func):
    """A condition: whether a text contains another one, in any case. `%` and `_` stand for themselves."""

    template = "STRPOS(%(expressions)s) > 0"
    output_field = BooleanField()

    def __init__(self, text: Any, part: str) -> None:
        super().__init__(Fold(text), Fold(Value(part)))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="INSTR(%(expressions)s) > 0", **context)


class UUIDText(Func):
    """The text of a UUID, in lower case with hyphens."""

    template = "%(expressions)s::text"
    output_field = TextField()
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # SQLite stores the 32 digits without hyphens.
        parts = [f"SUBSTR(%(expressions)s, {start}, {length})" for start, length in _UUID_PARTS]
        return self.as_sql(compiler, connection, template="(" + " || '-' || ".join(parts) + ")", **context)
