"""Reading files of keys in chunks, one ahead of the database."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TypeVar

from django.db import connection
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from pools.key_files import Line, NoKeys, Reason
from pools.key_files.warnings import FileProfile
from pools.key_rows import Encoded, Row, RowMaker
from pools.services.rejections import Explainer, Rejection

C = TypeVar("C")
# Few, because the lines of two chunks are in memory (5,000 need 7 MiB more than 2,000), and because SQLite is locked
# while a chunk is written. SQLite has more: each chunk changes most pages of an index, and with 5,000 an import into a
# filled database takes a fifth longer.
CHUNK_LINES = 8_000 if connection.vendor == "sqlite" else 2_000
SWITCH_SECONDS = 0.0005  # between threads


@dataclass
class Chunk:
    """Some lines of a file: the possible keys as (line, row) by digest, and the lines that are rejected already.

    Attributes:
        blocked: the rows that are rejected because they are used, as (line, text) by digest.
        texts, lines: the possible keys and their lines, in their order.
        encoded: the possible keys, ready to be written.
    """

    file: int
    rows: dict[bytes, tuple[int, Row]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    blocked: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    encoded: Encoded = field(default_factory=lambda: Encoded([], [], []))
    blank: int = 0
    used: int = 0


def read_chunks(
    files: Sequence[Iterable[Line]],
    profiles: Sequence[FileProfile],
    used: datetime | None,
    explainer: Explainer,
    rows: RowMaker,
    encode: Callable[[list[Row]], Encoded],
) -> Iterator[Chunk]:
    now = timezone.now()
    for file, (file_lines, profile) in enumerate(zip(files, profiles, strict=True)):
        lines, has_keys = iter(file_lines), False
        while first_line := list(islice(lines, 1)):
            chunk = Chunk(file)
            # One line at a time: a list of all would need as much memory as the chunk itself.
            for number, text, reason, popped, detail, is_used in chain(first_line, islice(lines, CHUNK_LINES - 1)):
                time = used or (now if is_used else None)
                if time and popped and not reason:
                    time = parse_used(popped)
                    reason = None if time else Reason.NOT_A_TIME
                if reason:
                    detail = detail and f"The key {reason.value}: {detail}"
                    chunk.rejections.append(Rejection(file, number, text, reason, detail))
                    if reason in (Reason.USED_ROW, Reason.NOT_A_TIME):
                        chunk.blocked.setdefault(rows.digest(text), (number, text))
                elif not text:
                    chunk.blank += 1
                else:
                    row = rows.make(text, time)
                    if first := chunk.rows.get(row.digest):
                        detail = explainer.same_as((file, first[0]), file)
                        chunk.rejections.append(Rejection(file, number, text, Reason.REPEATED, detail))
                        if time and not first[1].used:
                            chunk.rows[row.digest] = (first[0], row)
                            chunk.used += 1
                    else:
                        chunk.rows[row.digest] = (number, row)
                        chunk.used += time is not None
            for key, (number, text) in chunk.blocked.items():
                if key in chunk.rows and not chunk.rows[key][1].used:
                    line, _ = chunk.rows.pop(key)
                    detail = explainer.used_as((file, number), file)
                    chunk.rejections.append(Rejection(file, line, text, Reason.USED_ROW, detail))
            keys = [row for _, row in chunk.rows.values()]
            chunk.texts, chunk.lines = [row.text for row in keys], [line for line, _ in chunk.rows.values()]
            chunk.encoded = encode(keys)
            profile.add(chunk.texts, chunk.lines)
            has_keys = has_keys or bool(chunk.rows or chunk.rejections)
            yield chunk
        if not has_keys:
            raise NoKeys


def parse_used(text: str) -> datetime | None:
    """The time in a column `popped`, in UTC unless it has an offset. None if it is none, or in the future."""
    try:
        time = parse_datetime(text)
        if time is None:
            return None
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return time if time <= timezone.now() else None


def prefetch(chunks: Iterator[C]) -> Iterator[C]:
    """The same chunks, each read in a thread while the database is busy with the one before.

    Python's threads take turns every 5 ms. The database's thread would wait that long after each short statement for
    the one that reads, so they take turns more often.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(next, chunks, None)
            while chunk := future.result():
                future = executor.submit(next, chunks, None)
                yield chunk
    finally:
        sys.setswitchinterval(usual)
