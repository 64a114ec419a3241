"""Reading and writing files of keys: text, CSV and NDJSON, also gzipped, line by line in flat memory.

A key is opaque text. Only line ends and a byte order mark are removed. A line with any other fault is rejected, never
corrected.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import orjson

from pools.key_files.errors import FileTooLarge, FileUnreadable
from pools.key_files.key_texts import escape_text, find_text_fault
from pools.key_files.kinds import find_file_kind_error
from pools.key_files.limits import MAX_KEY_CHARACTERS
from pools.key_files.lines import Line, Reason
from pools.key_files.options import ReadOptions
from pools.key_files.understood import Understood

# Default names of the column or member with the keys.
KEY_COLUMN_NAMES = ("key", "code", "license_key")
POPPED_COLUMN_NAME = "popped"

_BLOCK_BYTES = 1 << 18
_MAX_LINE_BYTES = 1 << 16  # far above the longest key, so that a row may have other columns
_SHOWN_LINE_CHARACTERS = 2 * MAX_KEY_CHARACTERS
_SHOWN_HEADER_CHARACTERS = 300
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_OVERLONG_LINE = "\ud800"  # replaces a line that is too long to be read


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
    fault = find_text_fault(text) if text else None
    if not fault:
        return Line(number, text, popped=popped)
    shown = escape_text(text[:_SHOWN_LINE_CHARACTERS].replace(_OVERLONG_LINE, ""))
    return Line(number, shown, Reason.TOO_LONG if _OVERLONG_LINE in text else fault.reason, detail=fault.detail)


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


class KeyFile:
    """A file of keys. Iterating yields its lines, once.

    Attributes:
        name: the name of the file, for messages.
        understood: the form of the file.
        trimmed: the number of keys from which blanks were removed; complete after iteration.
        bytes_read: the number of unpacked bytes so far.
    """

    def __init__(self, understood: Understood, blocks: Iterator[list[Line]], name: str = "") -> None:
        self.understood, self.name = understood, name
        self.trimmed = self.bytes_read = 0
        self._blocks = blocks

    def __iter__(self) -> Iterator[Line]:
        for block in self._blocks:
            yield from block

    def blocks(self) -> Iterator[list[Line]]:
        """The same lines, many at a time."""
        return self._blocks


def open_key_file(
    file: BinaryIO,
    options: ReadOptions,
    *,
    name: str = "",
    media_type: str = "",
    charset: str = "",
    max_bytes: int | None = None,
) -> KeyFile:
    """Find out the form of a file of keys.

    Args:
        file: a binary file, at its beginning.
        name, media_type, charset: the file's name, declared type and declared encoding: hints only.
        max_bytes: the maximum size when unpacked.

    Raises:
        FileUnreadable: it is no list of keys, is cut off, or has an unknown encoding.
        FileTooLarge: it has more than `max_bytes`.
        ColumnAmbiguous: the column of the keys is uncertain.
        HeaderAmbiguous: it is uncertain whether the first line is a header.
        NoKeys: it is empty, or has only blank lines or a header.

    Iterating the result raises FileUnreadable and FileTooLarge too, where the fault comes later.
    """
    types = {"text/csv": "csv", "application/x-ndjson": "ndjson"}
    format = options.format or types.get(media_type) or guess_format(name)
    lines = read_keys(file, format, options.column, max_bytes)
    return KeyFile(Understood(kind=format), ([line] for line in lines), name)
