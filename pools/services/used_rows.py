"""Texts that one row of the files calls used, and another one free."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import isnan, nan
from typing import NamedTuple

from keygen_site.db.key_digests import key_digest

_DIGEST_PART = 8  # bytes of a digest that tell the keys of a file apart
_TEXTS_PER_SCAN = 100_000


class Place(NamedTuple):
    file: int
    line: int


class Conflict(NamedTuple):
    """A text with its rows.

    Attributes:
        free: the row that calls it free, and that was written.
        used: a row that calls it used.
        time: when it was used, if it is to be added as used; or else it is not added.
    """

    text: str
    digest: bytes
    free: Place
    used: Place
    time: datetime | None


class UsedRows:
    """The rows of the files read so far: 16 bytes for a free row, and some more for a used one."""

    def __init__(self) -> None:
        self._free, self._free_lines = array("Q"), array("Q")
        self._texts, self._ends, self._used_lines = bytearray(), array("Q"), array("Q")
        self._times = array("d")

    def add_free(self, file: int, digests: Iterable[bytes], lines: Iterable[int]) -> None:
        """Add rows that were written as available."""
        self._free.frombytes(b"".join([each[:_DIGEST_PART] for each in digests]))
        self._free_lines.extend(_pack(file, line) for line in lines)

    def add_used(self, file: int, line: int, text: str, time: datetime | None = None) -> None:
        """Add a row that is used.

        Args:
            time: when it was used, if its key is to be added as used.
        """
        self._texts += text.encode()
        self._ends.append(len(self._texts))
        self._used_lines.append(_pack(file, line))
        self._times.append(time.timestamp() if time else nan)

    def conflicts(self) -> Iterator[Conflict]:
        """The texts that have rows of both kinds."""
        if not self._free:
            return
        for first in range(0, len(self._ends), _TEXTS_PER_SCAN):
            yield from self._scan(range(first, min(first + _TEXTS_PER_SCAN, len(self._ends))))

    def _scan(self, indexes: Sequence[int]) -> Iterator[Conflict]:
        used: dict[int, int] = {}
        part = array("Q")
        part.frombytes(b"".join([key_digest(self._text(index))[:_DIGEST_PART] for index in indexes]))
        for number, index in zip(part, indexes, strict=True):
            used.setdefault(number, index)
        for at, number in enumerate(self._free):
            if (found := used.get(number)) is not None:
                text, time = self._text(found), self._times[found]
                yield Conflict(
                    text,
                    key_digest(text),
                    _unpack(self._free_lines[at]),
                    _unpack(self._used_lines[found]),
                    None if isnan(time) else datetime.fromtimestamp(time, UTC),
                )

    def _text(self, index: int) -> str:
        begin = self._ends[index - 1] if index else 0
        return self._texts[begin : self._ends[index]].decode()


def _pack(file: int, line: int) -> int:
    return file << 40 | line


def _unpack(place: int) -> Place:
    return Place(place >> 40, place & ((1 << 40) - 1))
