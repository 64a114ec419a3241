"""Encodings of files of keys: UTF-8, UTF-16 and UTF-32 are found out, others are told."""

import codecs
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pools.key_files.errors import FileUnreadable, option

BLOCK_BYTES, HEAD_BYTES = 1 << 18, 1 << 16
_UNICODE = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_SINGLE_BYTE = (
    *("us-ascii", *(f"windows-{number}" for number in range(1250, 1259))),
    *(f"iso-8859-{number}" for number in range(1, 17) if number != 12),
    *("koi8-r", "koi8-u", "macintosh", "cp437", "cp850", "cp852", "cp858", "cp866"),
)
_EAST_ASIAN = ("shift_jis", "cp932", "euc-jp", "gbk", "gb18030", "big5", "euc-kr", "cp949")
ENCODINGS = (*_UNICODE, *_SINGLE_BYTE, *_EAST_ASIAN)
_NAMES = {codecs.lookup(name).name: name for name in reversed(ENCODINGS)}
_MARKS = [  # of UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_WIDTHS = {"utf-32-le": (4, 0), "utf-32-be": (4, 3), "utf-16-le": (2, 0), "utf-16-be": (2, 1)}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Encoding(NamedTuple):
    """An encoding of a file.

    Attributes:
        name: one of ENCODINGS.
        mark: the byte order mark that the file begins with, or nothing.
        is_told: whether it was told, or else found out.
    """

    name: str
    mark: bytes = b""
    is_told: bool = False


def find_encoding(head: bytes, told: str | None = None, declared: str = "") -> Encoding:
    """The encoding of a file.

    Args:
        head: the first HEAD_BYTES.
        told: by the user.
        declared: by the client that sent the file, a hint. A byte order mark precedes it.

    Raises:
        FileUnreadable: it is unknown, or the told encoding contradicts the byte order mark.
    """
    mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", None))
    if told:
        name = _find_name(told)
        if marked and not marked.startswith(name):
            raise FileUnreadable(
                f"The file begins with the byte order mark of {marked.upper()}, so it is not {name}. Leave out the "
                f"encoding, and it is read as {marked.upper()}"
            )
        return Encoding(marked or _with_byte_order(name), mark, is_told=True)
    if marked:
        return Encoding(marked, mark)
    if declared:
        name = _with_byte_order(_find_name(declared))
        if name not in _UNICODE and not head.isascii() and _is_utf8(head):
            raise FileUnreadable(
                f"The file was declared as {name}, but its characters are UTF-8. Say which one is right: "
                f"{option('encoding', 'utf-8')}"
            )
        return Encoding(name, is_told=True)
    return Encoding(_find_wide(head[:4096]) or "utf-8")


def decode_blocks(file: Readable, encoding: Encoding) -> Iterator[str]:
    """The text of a file, without the byte order mark that it begins with.

    Raises:
        FileUnreadable: bytes are not of the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding.name)()
    pending = file.read(BLOCK_BYTES)[len(encoding.mark) :]
    offset, lines = len(encoding.mark), 1
    while True:
        block, is_last = pending, not pending
        kept = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, is_last)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n")
            found = offset - kept + error.start
            raise FileUnreadable(_describe(error, encoding, found, line)) from None
        if text:
            yield text
        if is_last:
            return
        offset += len(block)
        lines += block.count(b"\n")
        pending = file.read(BLOCK_BYTES)


def _describe(error: UnicodeDecodeError, encoding: Encoding, offset: int, line: int) -> str:
    bad = error.object[error.start]
    found = f"The byte 0x{bad:02X} at offset {offset:,} (line {line:,}) is not {encoding.name.upper()}: {error.reason}."
    if error.end >= len(error.object) and "end of data" in error.reason or error.reason == "truncated data":
        return f"{found} The file is cut off within a character, or is in another encoding. Send it again as a whole"
    if encoding.is_told:
        return f"{found} Give the encoding in which the file was saved, or save it as UTF-8"
    return (
        f"{found} Save the file as UTF-8. Or, if you know its encoding, which often is Windows-1252, say so: "
        f"{option('encoding', 'windows-1252')}"
    )


def _find_name(told: str) -> str:
    try:
        name = _NAMES.get(codecs.lookup(told.strip().strip("\"'")).name)
    except (LookupError, ValueError):
        name = None
    if name is None:
        raise FileUnreadable(
            f"The encoding {told[:40]!r} is unknown. Save the file as UTF-8, or say one of: {', '.join(ENCODINGS)}"
        )
    return name


def _with_byte_order(name: str) -> str:
    return f"{name}-le" if name in ("utf-16", "utf-32") else name


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _find_wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, by the NULs that letters and line ends have."""
    if b"\0" not in head:
        return None
    for name, (width, place) in _WIDTHS.items():
        whole = head[: len(head) // width * width]
        others = [whole[other::width] for other in range(width) if other != place]
        count = len(whole) // width
        if count < 2 or whole[place::width].count(0) > 0 or any(part.count(0) < 0.6 * count for part in others):
            continue
        try:
            text = codecs.getincrementaldecoder(name)().decode(whole)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return name
    return None
