"""The file of an export of keygen-api, version 1: reading and writing it, chunk by chunk (contract: moving).

A byte with the version, then chunks: 8 bytes with the length, big endian, and that many bytes, deflated by zlib. A
chunk's content is MessagePack, encrypted by AES-256-GCM if the export has a secret: the name of a class and an array of
maps, at most 1,000, from column to value. Nothing marks the end of the file.

Memory is bounded by a chunk, even if the file claims larger sizes.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, NamedTuple

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keygen_site.jsonapi.errors import DomainError

VERSION = 1
MAX_ROWS = 1_000  # of a chunk
# The export of a real account has 160 KB in its largest chunk. A row has license keys of up to 16 KB, and metadata.
MAX_CHUNK_BYTES = 64 * 1024**2  # deflated
MAX_CONTENT_BYTES = 64 * 1024**2  # inflated
_MAX_ITEMS = 10_000  # of an array or map: msgpack makes room for as many items as an array claims to have
_MAX_TEXT_BYTES = 4 * 1024**2
_READ_BYTES = 1024**2
_LENGTH = struct.Struct(">Q")
_TAG_BYTES, _NONCE_BYTES = 16, 12
_DAMAGED = "The file is damaged, or no export: copy it again"
_ARRAY_OF_TWO = b"\x92"  # the first byte of a content in clear
_TIME, _TIME_WITH_ZONE, _DATE = 1, 2, 3  # the types of MessagePack's extensions

Row = dict[str, Any]


class ExportUnreadable(DomainError):
    """The file is not an export that this server can read."""


class VersionUnknown(ExportUnreadable):
    """The file begins with another version than 1."""


class ExportTruncated(ExportUnreadable):
    """The file ends within a chunk."""


class ExportTooLarge(ExportUnreadable):
    """A chunk is larger than any chunk of an export."""


class SecretMissing(ExportUnreadable):
    """The export is encrypted, and there is no secret."""


class SecretWrong(ExportUnreadable):
    """The secret is not that of the export."""


class SecretUnneeded(ExportUnreadable):
    """There is a secret, but the export is not encrypted."""


class ExportMalformed(ExportUnreadable):
    """A chunk has unexpected content."""


class _MomentUnreadable(Exception):
    """A date or moment of a chunk is none."""


class Chunk(NamedTuple):
    """Rows of one class.

    Attributes:
        class_name: e.g. `License`.
        rows: from the name of a column to its value; moments are aware datetimes.
        offset: the position of the chunk in the file, in bytes.
    """

    class_name: str
    rows: list[Row]
    offset: int


class ExportReader:
    """Reads an export in one pass: iterate over its chunks.

    Attributes:
        position: the number of bytes read so far.
        sha256: the SHA-256 of the bytes read so far, in hex. At the end it is the digest that `rake` prints.
        content_sha256: the same of the contents of the chunks, which do not change with the secret.

    Args:
        stream: of bytes; it need not be seekable.
        secret: the text that the export is encrypted with, or None.
    """

    def __init__(self, stream: BinaryIO, secret: str | None = None) -> None:
        self._stream, self._cipher = stream, _cipher_of(secret)
        self._hash, self._content_hash = hashlib.sha256(), hashlib.sha256()
        self.position = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def content_sha256(self) -> bytes:
        return self._content_hash.digest()

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks. The first one is the account, and no later one is.

        Raises:
            ExportUnreadable: a subclass, whose `detail` is one sentence.
        """
        self._read_version()
        is_first = True
        while (chunk := self._read_chunk(is_first=is_first)) is not None:
            if is_first != (chunk.class_name == "Account") or (is_first and len(chunk.rows) != 1):
                raise ExportMalformed(
                    "The export must begin with its account, and have no other one; all else may come in any order. "
                    f"{_DAMAGED}"
                )
            is_first = False
            yield chunk
        if is_first:
            raise ExportTruncated("The export is empty: it ends before its account. Copy it again")

    def _read_version(self) -> None:
        version = self._read(1)
        if not version:
            raise ExportTruncated("The export is empty. Copy it again")
        if version[0] != VERSION:
            raise VersionUnknown(
                f"This is no export of version {VERSION}: its first byte is {version[0]}, not {VERSION}. Write the "
                "export with `rake keygen:export` of keygen-api 1.8"
            )

    def _read_chunk(self, *, is_first: bool) -> Chunk | None:
        offset = self.position
        header = self._read(_LENGTH.size)
        if not header:
            return None
        if len(header) < _LENGTH.size:
            raise _truncated(self.position)
        (length,) = _LENGTH.unpack(header)
        if length > MAX_CHUNK_BYTES:
            raise ExportTooLarge(
                f"The chunk at byte {offset:,} claims to have {length:,} bytes; the most are {MAX_CHUNK_BYTES:,}. "
                f"{_DAMAGED}"
            )
        deflated = self._read(length)
        if len(deflated) < length:
            raise _truncated(self.position)
        content = _inflate(deflated, offset)
        if self._cipher is not None:
            content = _decrypt(self._cipher, content, offset, is_first=is_first)
        elif is_first and not content.startswith(_ARRAY_OF_TWO):
            raise SecretMissing("The export is encrypted: give its secret with --secret-file")
        self._content_hash.update(content)
        return Chunk(*_unpack(content, offset), offset)

    def _read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end. It never makes room for more than the stream has, but for a block."""
        parts = []
        while size and (part := self._stream.read(min(size, _READ_BYTES))):
            parts.append(part)
            size -= len(part)
        found = b"".join(parts)
        self._hash.update(found)
        self.position += len(found)
        return found


def _truncated(position: int) -> ExportTruncated:
    return ExportTruncated(f"The export is incomplete: it ends within a chunk, at byte {position:,}. Copy it again")


def _inflate(deflated: bytes, offset: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(deflated, MAX_CONTENT_BYTES + 1)
    except zlib.error:
        raise _malformed(offset, "is not compressed by zlib") from None
    if len(content) > MAX_CONTENT_BYTES:
        raise ExportTooLarge(
            f"The chunk at byte {offset:,} inflates to more than {MAX_CONTENT_BYTES:,} bytes. {_DAMAGED}"
        )
    if not inflater.eof or inflater.unused_data:
        raise _malformed(offset, "is not compressed by zlib")
    return content


def _decrypt(cipher: AESGCM, content: bytes, offset: int, *, is_first: bool) -> bytes:
    tag, nonce = content[:_TAG_BYTES], content[_TAG_BYTES : _TAG_BYTES + _NONCE_BYTES]
    encrypted = content[_TAG_BYTES + _NONCE_BYTES :]
    try:
        return cipher.decrypt(nonce, encrypted + tag, None)
    except (InvalidTag, ValueError):
        pass
    if not is_first:
        raise _malformed(offset, "does not decrypt, although the ones before it do")
    try:
        _unpack(content, offset)
    except ExportMalformed:
        raise SecretWrong(
            "The secret is not the one that the export was encrypted with: give that one, or export again"
        ) from None
    raise SecretUnneeded("The export is not encrypted: leave out --secret-file")


def _unpack(content: bytes, offset: int) -> tuple[str, list[Row]]:
    try:
        unpacked = msgpack.unpackb(
            content,
            ext_hook=_unpack_extension,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_str_len=_MAX_TEXT_BYTES,
            max_bin_len=_MAX_TEXT_BYTES,
            max_ext_len=64,
        )
    except _MomentUnreadable:
        raise ExportMalformed(
            f"The chunk at byte {offset:,} has a date that cannot be read, or that is not in the years 1 to 9999. "
            "If it is an expiry, set an earlier one in keygen-api, and export again"
        ) from None
    # Of msgpack: all its errors are of these classes, those of texts that are not UTF-8 too.
    except (ValueError, OverflowError, msgpack.UnpackException) as error:
        if "exceeds max_" in str(error):
            raise ExportMalformed(
                f"The chunk at byte {offset:,} has a text of more than {_MAX_TEXT_BYTES:,} bytes, or a list or map of "
                f"more than {_MAX_ITEMS:,} items. If it is metadata, shorten it in keygen-api, and export again"
            ) from None
        raise _malformed(offset, "is no MessagePack of an export") from None
    match unpacked:
        case [str(name), list(rows)] if len(rows) <= MAX_ROWS and all(map(_is_row, rows)):
            return name, rows
    raise _malformed(offset, f"is not the name of a class and at most {MAX_ROWS:,} rows")


def _is_row(row: Any) -> bool:
    return type(row) is dict and all(type(name) is str for name in row)


def _malformed(offset: int, problem: str) -> ExportMalformed:
    return ExportMalformed(f"The chunk at byte {offset:,} {problem}. {_DAMAGED}")


def _unpack_extension(code: int, data: bytes) -> datetime | date:
    text = msgpack.unpackb(data, max_ext_len=0)
    if not isinstance(text, str) or code not in (_TIME, _TIME_WITH_ZONE, _DATE):
        raise ValueError
    try:
        if code == _DATE:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _MomentUnreadable from None


class ExportWriter:
    """Writes an export.

    Attributes:
        sha256: the SHA-256 of the bytes written so far, in hex.

    Args:
        stream: of bytes.
        secret: encrypts the export; None writes it in clear.
    """

    def __init__(self, stream: BinaryIO, secret: str | None = None) -> None:
        self._stream, self._cipher = stream, _cipher_of(secret)
        self._hash = hashlib.sha256()
        self._write(bytes([VERSION]))

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, class_name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of a class, in as many chunks as they need. The account is to be written first.

        Args:
            rows: from the name of a column to its value; moments are aware datetimes.
        """
        for start in range(0, len(rows), MAX_ROWS):
            self._write_chunk([class_name, list(rows[start : start + MAX_ROWS])])

    def _write_chunk(self, unpacked: list[Any]) -> None:
        content = msgpack.packb(unpacked, default=_pack_extension)
        if self._cipher is not None:
            nonce = os.urandom(_NONCE_BYTES)
            encrypted = self._cipher.encrypt(nonce, content, None)
            content = encrypted[-_TAG_BYTES:] + nonce + encrypted[:-_TAG_BYTES]
        deflated = zlib.compress(content)
        self._write(_LENGTH.pack(len(deflated)) + deflated)

    def _write(self, content: bytes) -> None:
        self._hash.update(content)
        self._stream.write(content)


def _pack_extension(value: Any) -> msgpack.ExtType:
    if isinstance(value, datetime):
        # Not `strftime`, which writes the year 900 with three digits.
        text = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return msgpack.ExtType(_TIME, msgpack.packb(text))
    if isinstance(value, date):
        return msgpack.ExtType(_DATE, msgpack.packb(value.isoformat()))
    raise TypeError(f"a value of the type {type(value).__name__} has no form in an export")


def _cipher_of(secret: str | None) -> AESGCM | None:
    return None if secret is None else AESGCM(hashlib.sha256(secret.encode()).digest())
