"""Writing files of keys: text, CSV and NDJSON."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:  # the models import this package
    from pools.models import Key

WRITTEN_FORMATS = ("text", "csv", "ndjson")
EXPORT_COLUMNS = ("key", "created", "popped", "withdrawn", "import")
_ROWS_PER_BLOCK = 1_000
# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")

ExportRow = tuple[str | None, ...]


def serialize_keys(keys: Iterable["Key"], format: str = "text", formula_safe: bool = False) -> Iterator[str]:
    """Yield the lines of a file of keys, many at a time. `open_key_file` can read them.

    Args:
        format: one of WRITTEN_FORMATS; text contains the keys only.
        formula_safe: put an apostrophe before a key in CSV that a spreadsheet would run. It is not removed on import.
    """
    if format == "csv":
        yield _format_csv([EXPORT_COLUMNS])
    rows = (_export_row(key) for key in keys)
    while block := list(islice(rows, _ROWS_PER_BLOCK)):
        if format == "text":
            yield "".join(f"{row[0]}\n" for row in block)
        elif format == "ndjson":
            yield "".join(orjson.dumps(dict(zip(EXPORT_COLUMNS, row, strict=True))).decode() + "\n" for row in block)
        else:
            rows_of_block = ((defuse_formula(str(row[0])), *row[1:]) for row in block) if formula_safe else block
            yield _format_csv(rows_of_block)


def _export_row(key: "Key") -> ExportRow:
    times = (time.isoformat() if time else None for time in (key.created, key.popped, key.withdrawn))
    return (key.key, *times, str(key.key_import_id) if key.key_import_id else None)


def defuse_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def _format_csv(rows: Iterable[ExportRow]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
