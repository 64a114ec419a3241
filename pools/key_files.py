"""Reading and writing files of keys: text, CSV and NDJSON, also gzipped, line by line in flat memory.

A key is opaque text. Only line ends and a byte order mark are removed. A line with any other fault is rejected, never
corrected.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from enum import Enum
from io import StringIO
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from keygen_site.jsonapi.errors import DomainError
from pools.file_kinds import find_file_kind_error
from pools.models import Key
from pools.models.keys import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS, RESERVED_KEYS

FORMATS = ("text", "csv", "ndjson")
# Default names of the column or member with the keys.
KEY_COLUMN_NAMES = ("key", "code", "license_key")
POPPED_COLUMN_NAME = "popped"

_BLOCK_BYTES = 1 << 18
_MAX_LINE_BYTES = 1 << 16  # far above the longest key, so that a row may have other columns
_SHOWN_LINE_CHARACTERS = 2 * MAX_KEY_CHARACTERS
_SHOWN_HEADER_CHARACTERS = 300
# Anything but control characters (Unicode's category Cc), and no blank at either end.
_KEY = re.compile(rf"(?!\s)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{{MIN_KEY_CHARACTERS},{MAX_KEY_CHARACTERS}}}(?<!\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSAFE = re.compile(f"{_CONTROL.pattern}|{_SURROGATE.pattern}")
_OVERLONG_LINE = "\ud800"  # replaces a line that is too long to be read


class Reason(Enum):
    """Why a line was not added. The value is the end of a sentence that begins with "The key"."""

    REPEATED = "is in the file twice"
    AVAILABLE = "is already in this pool"
    STILL_AVAILABLE = "is available in a pool, although it was used: withdraw it there"
    ELSEWHERE = "is already in another pool"
    POPPED = "was popped before"
    WITHDRAWN = "was withdrawn"
    LICENSE = "is already a license's key"
    LICENSE_ID = "is a license's identifier"
    USED = "was used before, by a key or license that has been deleted"
    RESERVED = "is reserved"
    TOO_SHORT = f"is too short (minimum is {MIN_KEY_CHARACTERS} characters)"
    TOO_LONG = f"is too long (maximum is {MAX_KEY_CHARACTERS} characters)"
    BLANKS = "begins or ends with a blank"
    CONTROL = "has control characters"
    NOT_UTF8 = "is not UTF-8"
    MALFORMED = "is missing: the line does not have the file's format"
    NOT_A_TIME = "has no valid time in the column popped"

    @property
    def code(self) -> str:
        return self.name.lower()


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: from 1.
        text: the key; empty for a blank line. Escaped by `escape_text` if there is a reason.
        reason: why the line is rejected, if it is.
        popped: the text of the column or member `popped`, as in our own exports; empty without one.
    """

    number: int
    text: str
    reason: Reason | None = None
    popped: str = ""


class FileUnreadable(DomainError):
    """A file as a whole is refused."""

    code = "FILE_UNREADABLE"


class FileTooLarge(DomainError):
    status = 413
    title = "Request entity too large"
    detail = "The file is too large"
    code = "FILE_TOO_LARGE"


def guess_format(name: str) -> str:
    """The format by the name of a file, e.g. csv for `keys.csv.gz`; text for an unknown ending."""
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    return {"csv": "csv", "ndjson": "ndjson", "jsonl": "ndjson"}.get(suffix, "text")


def read_keys(
    file: BinaryIO, format: str = "text", column: str | None = None, max_bytes: int | None = None
) -> Iterator[Line]:
    """Read the lines of a file of keys.

    Args:
        file: a binary file with `peek()`, possibly gzipped.
        format: one of FORMATS.
        column: the name or number (from 1) of the CSV column, or the name of the NDJSON member, with the keys.
        max_bytes: the maximum size when unpacked.

    Raises:
        FileUnreadable: it is cut off, in another encoding, no list of keys, or has no such column.
        FileTooLarge: it has more than `max_bytes`.
    """
    reader = {"text": _read_text, "csv": _read_csv, "ndjson": _read_ndjson}[format]
    try:
        yield from reader(_read_lines(_decompress(file), max_bytes, format), column)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileUnreadable("The file is not a whole gzip file") from None


def key_format_error(text: str) -> Reason | None:
    """Why a text cannot be a key, or None."""
    if _KEY.fullmatch(text):
        return Reason.RESERVED if text in RESERVED_KEYS else None
    if _SURROGATE.search(text):
        return Reason.TOO_LONG if _OVERLONG_LINE in text else Reason.NOT_UTF8
    if text in RESERVED_KEYS:
        return Reason.RESERVED
    if _CONTROL.search(text):
        return Reason.CONTROL
    if text != text.strip():
        return Reason.BLANKS
    return Reason.TOO_SHORT if len(text) < MIN_KEY_CHARACTERS else Reason.TOO_LONG


def escape_text(text: str) -> str:
    """Escape control characters and bytes that are not UTF-8, e.g. `SCHL\\xdcSSEL`.

    Surrogates represent such bytes. PostgreSQL stores neither surrogates nor NUL, and UTF-8 cannot encode surrogates.
    """
    return _UNSAFE.sub(_escape_character, text)


def _escape_character(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte, see PEP 383
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _decompress(file: Any) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.peek(2)[:2] == b"\x1f\x8b" else file


def _read_lines(file: BinaryIO, max_bytes: int | None, format: str) -> Iterator[str]:
    """The lines without their ends. Bytes that are not UTF-8 become surrogates, an overlong line `_OVERLONG_LINE`."""
    rest, is_overlong, size = b"", False, 0
    is_first = True
    while block := file.read(_BLOCK_BYTES):
        size += len(block)
        if max_bytes is not None and size > max_bytes:
            raise FileTooLarge
        if is_first:
            block, is_first = _remove_byte_order_mark(block), False
            if error := find_file_kind_error(block, format):
                raise FileUnreadable(error)
        *lines, rest = (rest + block).split(b"\n")
        if is_overlong and lines:
            yield _OVERLONG_LINE
            del lines[0]
            is_overlong = False
        if len(rest) > _MAX_LINE_BYTES:
            rest, is_overlong = b"", True
        for line in lines:
            yield _OVERLONG_LINE if len(line) > _MAX_LINE_BYTES else _decode(line)
    if is_overlong:
        yield _OVERLONG_LINE
    elif rest:
        yield _decode(rest)


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="surrogateescape")


def _remove_byte_order_mark(block: bytes) -> bytes:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileUnreadable("The file is UTF-16; save it as UTF-8")
    return block.removeprefix(b"\xef\xbb\xbf")


def _read_text(lines: Iterator[str], column: str | None) -> Iterator[Line]:
    for number, text in enumerate(lines, 1):
        yield _check_line(number, text)


def _check_line(number: int, text: str, popped: str = "") -> Line:
    reason = key_format_error(text) if text else None
    if not reason:
        return Line(number, text, popped=popped)
    return Line(number, escape_text(text[:_SHOWN_LINE_CHARACTERS].replace(_OVERLONG_LINE, "")), reason)


def _read_csv(lines: Iterator[str], column: str | None) -> Iterator[Line]:
    rows = csv.reader((line + "\n" for line in lines), strict=True)
    index, popped_index = None, -1
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            # An unclosed quote spans several lines: all of them are rejected.
            yield from (Line(each, "", Reason.MALFORMED) for each in range(number, rows.line_num + 1))
            continue
        if not any(row):
            yield Line(number, "")
            continue
        if index is None:
            index, is_header = _find_column(row, column)
            if is_header:
                names = [name.strip().lower() for name in row]
                popped_index = names.index(POPPED_COLUMN_NAME) if POPPED_COLUMN_NAME in names else -1
                continue
        text = row[index] if index < len(row) else ""
        popped = row[popped_index] if 0 <= popped_index < len(row) else ""
        yield _check_line(number, text, popped) if text else Line(number, "", Reason.MALFORMED)


def _find_column(row: list[str], column: str | None) -> tuple[int, bool]:
    """The index of the column with the keys, by the first row of a CSV, and whether that row is a header."""
    names = [name.strip().lower() for name in row]
    if column is None:
        for name in KEY_COLUMN_NAMES:
            if name in names:
                return names.index(name), True
        if len(row) > 1:
            raise FileUnreadable(
                f"The file has {len(row)} columns and none is called {', '.join(KEY_COLUMN_NAMES[:-1])} or "
                f"{KEY_COLUMN_NAMES[-1]}: say which one holds the keys"
            )
        return 0, False
    if column.strip().lower() in names:
        return names.index(column.strip().lower()), True
    if column.isdecimal() and int(column) > 0:
        index = int(column) - 1
        return index, index < len(names) and names[index] in KEY_COLUMN_NAMES
    known = escape_text(", ".join(row)[:_SHOWN_HEADER_CHARACTERS])
    raise FileUnreadable(f"The file has no column {column!r}; it has {known}")


def _read_ndjson(lines: Iterator[str], column: str | None) -> Iterator[Line]:
    names = KEY_COLUMN_NAMES if column is None else (column,)
    for number, line in enumerate(lines, 1):
        if not line:
            yield Line(number, "")
            continue
        members = _load_members(line)
        text = next((members[name] for name in names if isinstance(members.get(name), str)), None)
        if text:
            popped = members.get(POPPED_COLUMN_NAME)
            yield _check_line(number, text, "" if popped is None else str(popped))
        elif _SURROGATE.search(line):
            yield _check_line(number, line)
        else:
            yield Line(number, escape_text(line[:_SHOWN_LINE_CHARACTERS]), Reason.MALFORMED)


def _load_members(line: str) -> dict[str, Any]:
    """The members of the object in a line of NDJSON; none if it is not an object."""
    try:
        value = orjson.loads(line)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return {}
    return value if isinstance(value, dict) else {}


# Writing -------------------------------------------------------------------------------------------------------------

EXPORT_COLUMNS = ("key", "created", "popped", "withdrawn", "import")
_ROWS_PER_BLOCK = 1_000
# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")

ExportRow = tuple[str | None, ...]


def serialize_keys(keys: Iterable[Key], format: str = "text", formula_safe: bool = False) -> Iterator[str]:
    """Yield the lines of a file of keys, many at a time. `read_keys` can read them.

    Args:
        format: one of FORMATS; text contains the keys only.
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


def _export_row(key: Key) -> ExportRow:
    times = (time.isoformat() if time else None for time in (key.created, key.popped, key.withdrawn))
    return (key.key, *times, str(key.key_import_id) if key.key_import_id else None)


def defuse_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def _format_csv(rows: Iterable[ExportRow]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
