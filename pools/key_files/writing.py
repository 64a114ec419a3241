"""Writing files of keys: text, CSV and NDJSON."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

import orjson

from keygen_site.spreadsheets import BYTE_ORDER_MARK, format_csv
from pools.key_files.guards import GUARDED_KEY_COLUMN, guard_cell

WRITTEN_FORMATS = ("text", "csv", "ndjson")
EXPORT_COLUMNS = (
    "key",
    "created",
    "popped",
    "withdrawn",
    "import",
    "reference",
    "license",
    "customer",
    "batch",
    "pool",
)
_ROWS_PER_BLOCK = 1_000


class ExportedKey(NamedTuple):
    """A key in an export, by the names in EXPORT_COLUMNS.

    Attributes:
        key_import: the id of its import.
        reference, license: those of its last pop.
        customer: the email of the license's owner.
        batch: the name of its import.
        pool: the name of its policy.
    """

    key: str
    created: datetime
    popped: datetime | None
    withdrawn: datetime | None
    key_import: UUID | None
    reference: str = ""
    license: UUID | None = None
    customer: str = ""
    batch: str = ""
    pool: str = ""


def serialize_keys(
    keys: Iterable[ExportedKey], format: str = "text", *, for_spreadsheet: bool = False
) -> Iterator[str]:
    """Yield the lines of a file of keys, many at a time. `open_key_file` can read them.

    Args:
        format: one of WRITTEN_FORMATS; text contains the keys only.
        for_spreadsheet: begin a CSV with a byte order mark, and guard the cells that a spreadsheet would change.
    """
    rows = (_row_of(key) for key in keys)
    if format == "csv":
        header = (GUARDED_KEY_COLUMN, *EXPORT_COLUMNS[1:]) if for_spreadsheet else EXPORT_COLUMNS
        yield BYTE_ORDER_MARK * for_spreadsheet + format_csv([header])
    while block := list(islice(rows, _ROWS_PER_BLOCK)):
        if format == "text":
            yield "".join(f"{row[0]}\n" for row in block)
        elif format == "ndjson":
            yield "".join(orjson.dumps(dict(zip(EXPORT_COLUMNS, row, strict=True))).decode() + "\n" for row in block)
        elif for_spreadsheet:
            yield format_csv([guard_cell(cell or "") for cell in row] for row in block)
        else:
            yield format_csv(block)


def _row_of(key: ExportedKey) -> tuple[str | None, ...]:
    return tuple(value.isoformat() if isinstance(value, datetime) else str(value) if value else None for value in key)
