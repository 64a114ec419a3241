"""Unpacking gzip and zip, within bounds."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, cast

from pools.key_files.encodings import HEAD_BYTES
from pools.key_files.errors import FileTooLarge, FileUnreadable
from pools.key_files.kinds import find_archive_error

_BLOCK_BYTES = 1 << 18
# A larger file that unpacks to more than this many times its size is no list of keys: they all differ. A hundred
# thousand rows that have 300 equal characters each are still below it.
_MAX_RATIO, _UNSUSPICIOUS_BYTES = 100, 1 << 25
_MAX_MEMBERS = 1_000
_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# zipfile raises a RuntimeError for a password, and a subclass of it for an unknown compression or version.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)


class Source:
    """A file that counts its bytes and shows its first ones.

    Attributes:
        bytes_read: the number of bytes so far.
    """

    def __init__(self, file: IO[bytes], max_bytes: int | None = None) -> None:
        self.bytes_read = 0
        self._file, self._max_bytes = file, max_bytes
        self._head, self._is_ended = b"", False

    def peek(self, size: int = HEAD_BYTES) -> bytes:
        """The next bytes, which `read` will return: fewer than `size` only at the end of the file."""
        while len(self._head) < size and not self._is_ended:
            block = self._read(size - len(self._head))
            self._is_ended = not block
            self._head += block
        return self._head

    def read(self, size: int = _BLOCK_BYTES) -> bytes:
        if self._head:
            block, self._head = self._head[:size], self._head[size:]
        else:
            block = self._read(size)
        self.bytes_read += len(block)
        if self._max_bytes is not None and self.bytes_read > self._max_bytes:
            raise FileTooLarge(
                f"The file is too large: its limit is {self._max_bytes:,} bytes, unpacked. Import it in several parts"
            )
        return block

    def _read(self, size: int) -> bytes:
        return self._file.read(size)


class _GzipSource(Source):
    """A gzip file, unpacked."""

    def __init__(self, packed: Source, max_bytes: int | None) -> None:
        super().__init__(cast(IO[bytes], gzip.GzipFile(fileobj=cast(Any, packed))), max_bytes)
        self._packed, self._size = packed, 0

    def _read(self, size: int) -> bytes:
        try:
            block = super()._read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise FileUnreadable("The file is not a whole gzip file: send it again, or send it unpacked") from None
        self._size += len(block)
        _check_ratio(self._size, self._packed.bytes_read)
        return block


class _ZipSource(Source):
    """A file in a zip archive, unpacked."""

    def _read(self, size: int) -> bytes:
        try:
            return super()._read(size)
        except ZIP_ERRORS:
            raise FileUnreadable("The zip archive is damaged: send it again, or send the file unpacked") from None


class Unpacked(NamedTuple):
    """A file after unpacking.

    Attributes:
        compression: `gzip`, `zip` or None.
        name: the name in the zip archive, or that of the file without `.gz`.
        workbook: the file if it is an Excel workbook, on disk.
    """

    source: Source
    compression: str | None = None
    name: str = ""
    workbook: IO[bytes] | None = None


def unpack(file: IO[bytes], name: str = "", max_bytes: int | None = None) -> Unpacked:
    """Unpack a file if it is packed.

    Raises:
        FileUnreadable: it is damaged or encrypted, an archive of several files, packed twice, or unpacks to
            suspiciously many bytes.
        FileTooLarge: it has more than `max_bytes`.
    """
    source = Source(file, max_bytes)
    head = source.peek()
    if head.startswith(_GZIP):
        unpacked = _GzipSource(source, max_bytes)
        name = name.removesuffix(".gz").removesuffix(".GZ")
        if not unpacked.peek().startswith(_ZIP):
            return Unpacked(unpacked, "gzip", name)
        archive = _open_zip(unpacked)
        if _is_workbook(archive):
            return Unpacked(unpacked, "gzip", name, _checked(archive, max_bytes))
        raise FileUnreadable("This is a zip archive in a gzip file. Unpack it once, and import that")
    if head.startswith(_ZIP):
        if error := find_archive_error(head):
            raise FileUnreadable(error)
        archive = _open_zip(source)
        if _is_workbook(archive):
            return Unpacked(source, None, name, _checked(archive, max_bytes))
        return _unzip(archive, max_bytes)
    return Unpacked(source, None, name)


def _open_zip(source: Source) -> zipfile.ZipFile:
    """The archive, copied to a file on disk: its directory is at its end."""
    copy = TemporaryFile()  # noqa: SIM115 (the archive keeps it open)
    while block := source.read():
        copy.write(block)
    copy.seek(0)
    try:
        archive = zipfile.ZipFile(copy)
    except ZIP_ERRORS:
        raise FileUnreadable("The zip archive, or the workbook, is damaged or cut off: send it again") from None
    if error := find_archive_error(b"", archive.namelist()):
        raise FileUnreadable(error)
    return archive


def _is_workbook(archive: zipfile.ZipFile) -> bool:
    return "xl/workbook.xml" in archive.namelist()


def _unzip(archive: zipfile.ZipFile, max_bytes: int | None) -> Unpacked:
    members = [member for member in archive.infolist()[:_MAX_MEMBERS] if not _is_clutter(member)]
    if len(members) != 1:
        names = ", ".join(member.filename for member in members[:5]) + (", …" if len(members) > 5 else "")
        raise FileUnreadable(
            f"The zip archive has {len(members)} files{names and f' ({names})'}, and must have exactly one. Unpack it "
            "and import the file that has the keys"
        )
    (member,) = members
    with _zip_errors():
        _check_size(member, max_bytes)
        unpacked = _ZipSource(archive.open(member), max_bytes)
        head = unpacked.peek()
    if head.startswith(_GZIP):
        raise FileUnreadable("This is a gzip file in a zip archive. Unpack it once, and import that")
    if not head.startswith(_ZIP):
        return Unpacked(unpacked, "zip", member.filename)
    inner = _open_zip(unpacked)
    if not _is_workbook(inner):
        raise FileUnreadable("This is a zip archive in a zip archive. Unpack it once, and import that")
    return Unpacked(unpacked, "zip", member.filename, _checked(inner, max_bytes))


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    is_hidden = path.name.startswith("._") or path.name in (".DS_Store", "Thumbs.db", "desktop.ini")
    return member.is_dir() or path.parts[:1] == ("__MACOSX",) or is_hidden


def _checked(archive: zipfile.ZipFile, max_bytes: int | None) -> IO[bytes]:
    """The file of a workbook whose parts are whole and not too large."""
    total = 0
    with _zip_errors("The Excel workbook is damaged: open it, save it again as .xlsx, and import that"):
        for member in archive.infolist():
            _check_size(member, max_bytes)
            total += member.file_size
            if max_bytes is not None and total > max_bytes:
                raise FileTooLarge
    file = cast(IO[bytes], archive.fp)
    file.seek(0)
    return file


def _check_size(member: zipfile.ZipInfo, max_bytes: int | None) -> None:
    if member.flag_bits & 1:
        raise FileUnreadable(
            "The zip archive is protected by a password. Unpack it and import the file that has the keys"
        )
    if max_bytes is not None and member.file_size > max_bytes:
        raise FileTooLarge
    _check_ratio(member.file_size, member.compress_size)


def _check_ratio(size: int, packed: int) -> None:
    if size > _UNSUSPICIOUS_BYTES and size > _MAX_RATIO * max(packed, 1):
        raise FileUnreadable(
            f"The file unpacks to more than {_MAX_RATIO} times its size, which no list of keys does. If it is one, "
            "unpack it and import that"
        )


@contextmanager
def _zip_errors(detail: str = "The zip archive is damaged, or packed by an unknown method") -> Iterator[None]:
    try:
        yield
    except ZIP_ERRORS:
        raise FileUnreadable(detail) from None
