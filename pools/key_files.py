"""Files of keys: text, CSV and NDJSON, each also gzipped, read line by line in flat memory.

A key is opaque text. Only the end of its line and a byte order mark are taken off; whatever else is not right about
a line is said, never mended.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from enum import Enum
from io import StringIO
from itertools import islice
from typing import BinaryIO, NamedTuple

import orjson

from keygen_site.jsonapi.errors import DomainError
from pools.file_kinds import refusal_of
from pools.models.keys import MAX_LENGTH, MIN_LENGTH, RESERVED

FORMATS = ("text", "csv", "ndjson")
# How a column or a member that holds the keys may be called where nobody says.
NAMES = ("key", "code", "license_key")

_BLOCK = 1 << 18  # bytes
_SHOWN = 2 * MAX_LENGTH  # characters of a line that is no key
_NAMES_SHOWN = 300  # characters of the names of all columns
_LONGEST_LINE = 1 << 16  # bytes; far above the longest key, so that a row may have other columns
# Between its ends anything but control characters (Unicode's category Cc), and no blank at either end.
_KEY = re.compile(rf"(?!\s)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{{MIN_LENGTH},{MAX_LENGTH}}}(?<!\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSAFE = re.compile(f"{_CONTROL.pattern}|{_SURROGATE.pattern}")
_CUT = "\ud800"  # stands for a line that was too long to be read


class Reason(Enum):
    """Why a line was not added: a code for machines, and words that go on after "the key"."""

    REPEATED = "is in the file twice"
    AVAILABLE = "is already in this pool"
    ELSEWHERE = "is already in another pool"
    POPPED = "was popped before"
    WITHDRAWN = "was withdrawn"
    LICENSE = "is already a license's key"
    LICENSE_ID = "is a license's identifier"
    USED = "was used before, by a key or license that has been deleted"
    RESERVED = "is reserved"
    TOO_SHORT = f"is too short (minimum is {MIN_LENGTH} characters)"
    TOO_LONG = f"is too long (maximum is {MAX_LENGTH} characters)"
    BLANKS = "begins or ends with a blank"
    CONTROL = "has control characters"
    NOT_UTF8 = "is not UTF-8"
    MALFORMED = "is missing: the line does not have the file's format"

    @property
    def code(self):
        return self.name.lower()


class Line(NamedTuple):
    """A line of a file: its number, from 1, the key in it, and what is wrong with it, if anything.

    A line without anything on it has an empty text and no reason. The text of a line with a reason is escaped, see
    `escaped`.
    """

    number: int
    text: str
    reason: Reason | None = None


class FileUnreadable(DomainError):
    """A file that is not what it should be, as a whole."""

    code = "FILE_UNREADABLE"


class FileTooLarge(DomainError):
    status = 413
    title = "Request entity too large"
    detail = "The file is too large"
    code = "FILE_TOO_LARGE"


def format_of(name):
    """The format that a file's name says, e.g. `keys.csv.gz`: text where it says none."""
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    return {"csv": "csv", "ndjson": "ndjson", "jsonl": "ndjson"}.get(suffix, "text")


def read_keys(file: BinaryIO, format: str = "text", column: str | None = None, most: int | None = None):
    """Read a file of keys.

    Args:
        file: opened for bytes, with `peek`; gzipped or not.
        format: one of FORMATS.
        column: where the keys are, in CSV its name or its number from 1, in NDJSON the name of the member.
        most: the bytes that it may have when unpacked; None: any number.

    Yields:
        a `Line` for each line.

    Raises:
        FileUnreadable: it is cut off, in another encoding, not a list of keys at all, or has no such column.
        FileTooLarge: it has more bytes than `most`.
    """
    reader = {"text": _text, "csv": _csv, "ndjson": _ndjson}[format]
    try:
        yield from reader(_lines(_unpacked(file), most, format), column)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileUnreadable("The file is not a whole gzip file") from None


def key_format_error(text: str) -> Reason | None:
    """What is wrong with a text as a key, whatever else there may be; None: nothing."""
    if _KEY.fullmatch(text):
        return Reason.RESERVED if text in RESERVED else None
    if _SURROGATE.search(text):
        return Reason.TOO_LONG if _CUT in text else Reason.NOT_UTF8
    if text in RESERVED:
        return Reason.RESERVED
    if _CONTROL.search(text):
        return Reason.CONTROL
    if text != text.strip():
        return Reason.BLANKS
    return Reason.TOO_SHORT if len(text) < MIN_LENGTH else Reason.TOO_LONG


def escaped(text: str) -> str:
    """Return a text with its control characters and its bytes that are not UTF-8 escaped, e.g. `SCHL\\xdcSSEL`.

    PostgreSQL stores neither NUL nor surrogates, which stand for such bytes, and no file or page in UTF-8 can have the
    latter.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte, see PEP 383
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _unpacked(file):
    return gzip.open(file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def _lines(file, most, format) -> Iterator[str]:
    """The lines without their ends. Bytes that are no UTF-8 become surrogates, a line that is too long `_CUT`."""
    rest, cut, size = b"", False, 0
    first = True
    while block := file.read(_BLOCK):
        size += len(block)
        if most is not None and size > most:
            raise FileTooLarge
        if first:
            block, first = _without_mark(block), False
            if refusal := refusal_of(block, format):
                raise FileUnreadable(refusal)
        *lines, rest = (rest + block).split(b"\n")
        if cut and lines:
            yield _CUT
            del lines[0]
            cut = False
        if len(rest) > _LONGEST_LINE:
            rest, cut = b"", True
        for line in lines:
            yield _CUT if len(line) > _LONGEST_LINE else _decoded(line)
    if cut:
        yield _CUT
    elif rest:
        yield _decoded(rest)


def _decoded(line):
    return line.removesuffix(b"\r").decode(errors="surrogateescape")


def _without_mark(block):
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileUnreadable("The file is UTF-16; save it as UTF-8")
    return block.removeprefix(b"\xef\xbb\xbf")


def _text(lines, column):
    for number, text in enumerate(lines, 1):
        yield _line(number, text)


def _line(number, text):
    reason = key_format_error(text) if text else None
    return Line(number, escaped(text[:_SHOWN].replace(_CUT, "")), reason) if reason else Line(number, text)


def _csv(lines, column):
    rows = csv.reader((line + "\n" for line in lines), strict=True)
    index = None
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            # A quote that nobody closed has swallowed lines: none of them is passed over.
            yield from (Line(swallowed, "", Reason.MALFORMED) for swallowed in range(number, rows.line_num + 1))
            continue
        if not any(row):
            yield Line(number, "")
            continue
        if index is None:
            index, is_header = _place(row, column)
            if is_header:
                continue
        text = row[index] if index < len(row) else ""
        yield _line(number, text) if text else Line(number, "", Reason.MALFORMED)


def _place(row, column):
    """Where the keys are by a CSV's first row, and whether that row is a header."""
    names = [name.strip().lower() for name in row]
    if column is None:
        for name in NAMES:
            if name in names:
                return names.index(name), True
        if len(row) > 1:
            raise FileUnreadable(
                f"The file has {len(row)} columns and none is called {', '.join(NAMES[:-1])} or {NAMES[-1]}: "
                f"say which one holds the keys"
            )
        return 0, False
    if column.strip().lower() in names:
        return names.index(column.strip().lower()), True
    if column.isdecimal() and int(column) > 0:
        index = int(column) - 1
        return index, index < len(names) and names[index] in NAMES
    known = escaped(", ".join(row)[:_NAMES_SHOWN])
    raise FileUnreadable(f"The file has no column {column!r}; it has {known}")


def _ndjson(lines, column):
    names = NAMES if column is None else (column,)
    for number, line in enumerate(lines, 1):
        if not line:
            yield Line(number, "")
            continue
        text = _member(line, names)
        if text:
            yield _line(number, text)
        elif _SURROGATE.search(line):
            yield _line(number, line)
        else:
            yield Line(number, escaped(line[:_SHOWN]), Reason.MALFORMED)


def _member(line, names):
    """The key in a line of NDJSON; None: there is no object, or no text of that name in it."""
    try:
        value = orjson.loads(line)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in names if isinstance(value.get(name), str)), None)


# Writing -------------------------------------------------------------------------------------------------------------

COLUMNS = ("key", "created", "popped", "withdrawn", "import")
_LINES = 1_000  # that are handed on at a time
# A spreadsheet takes a cell that begins with one of these for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def serialize_keys(keys, format: str = "text", formula_safe: bool = False) -> Iterator[str]:
    """Keys as the text of a file, some lines at a time. What is written can be read by `read_keys`.

    Args:
        keys: `Key` rows.
        format: one of FORMATS; text has nothing but the keys.
        formula_safe: puts an apostrophe before a key in CSV that a spreadsheet would run. It does not read back.
    """
    if format == "csv":
        yield _csv_lines([COLUMNS])
    rows = (_values(key) for key in keys)
    while some := list(islice(rows, _LINES)):
        if format == "text":
            yield "".join(f"{row[0]}\n" for row in some)
        elif format == "ndjson":
            yield "".join(orjson.dumps(dict(zip(COLUMNS, row, strict=True))).decode() + "\n" for row in some)
        else:
            yield _csv_lines((_harmless(row) for row in some) if formula_safe else some)


def _values(key):
    moments = (moment and moment.isoformat() for moment in (key.created, key.popped, key.withdrawn))
    return (key.key, *moments, key.key_import_id and str(key.key_import_id))


def _harmless(row):
    return (f"'{row[0]}", *row[1:]) if row[0].startswith(_FORMULA) else row


def _csv_lines(rows):
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
