"""Options of reading a file of keys: the same at the API, the console and the command."""

from dataclasses import dataclass
from enum import StrEnum

FORMATS = ("text", "csv", "ndjson", "json", "xlsx")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


class UsedRows(StrEnum):
    """The treatment of rows that a state column calls used."""

    REJECT = "reject"
    USED = "used"  # they are added as used
    IGNORE = "ignore"  # state columns are ignored like other columns


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The user's statements about a file.

    Attributes:
        format: one of FORMATS. None: it is found out from the content.
        encoding: one of `pools.key_files.encodings.ENCODINGS`. None: UTF-8, UTF-16 or UTF-32, found out.
        delimiter: one of DELIMITERS, by name or character. None: it is found out.
        header: whether the first row is a header. None: it is found out.
        column: the column of the keys by its name in the header, or by its number from 1. None: it is found out.
        trim: remove blanks around each key.
        used_rows: the treatment of rows that a state column calls used.
    """

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    column: str | None = None
    trim: bool = False
    used_rows: UsedRows = UsedRows.REJECT
