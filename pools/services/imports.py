"""Importing files of keys into a pool, for the command, the API and the console."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy, PoolNotSupported
from pools.bulk_import import BulkImporter, Row, bulk_importer
from pools.key_files import Line, Reason
from pools.models import KeyEvent, KeyImport
from pools.services.low_stock import reset_low_alert

CHUNK_LINES = 10_000
MAX_REPORTED_REJECTIONS = 1_000


class Rejection(NamedTuple):
    """A line that was not added.

    Attributes:
        file: the index of the file.
        line: the number of the line, from 1. None if a license got the text during the import, which is found out at
            the end, when the lines are gone.
    """

    file: int
    line: int | None
    text: str
    reason: Reason


@dataclass
class ImportReport:
    """The result of an import, or of a dry run.

    Attributes:
        lines: the number of lines read, without blank ones.
        blank: the number of blank lines.
        rejected: the number of lines that cannot be added.
        reasons: the number of rejected lines by `Reason`.
        first: the first rejections, at most MAX_REPORTED_REJECTIONS.
        key_import: the import, or None if nothing was added.
    """

    dry_run: bool = False
    lines: int = 0
    blank: int = 0
    rejected: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    first: list[Rejection] = field(default_factory=list)
    key_import: KeyImport | None = None

    @property
    def good(self) -> int:
        """The number of lines that can be added."""
        return self.lines - self.rejected

    @property
    def added(self) -> int:
        """The number of keys that were added."""
        return self.key_import.added if self.key_import else 0

    @property
    def nothing_new(self) -> bool:
        """Whether all keys had been added to a pool before."""
        before = (Reason.AVAILABLE, Reason.POPPED, Reason.WITHDRAWN)
        return 0 < self.lines == sum(self.reasons[reason] for reason in before)

    def as_dict(self, files: Sequence[str] = (), max_rejections: int = MAX_REPORTED_REJECTIONS) -> dict[str, Any]:
        """The report in the form of the API and of the commands' JSON.

        Args:
            files: the names of the files; without them, rejections do not name their file.
        """
        return {
            "dryRun": self.dry_run,
            "import": self.key_import and str(self.key_import.pk),
            "lines": self.lines,
            "blank": self.blank,
            "added": self.added,
            "rejected": self.rejected,
            "reasons": {reason.code: count for reason, count in self.reasons.most_common()},
            "rejections": [
                ({"file": files[file]} if files else {}) | {"line": line, "code": reason.code, "detail": reason.value}
                for file, line, _, reason in self.first[:max_rejections]
            ],
        }

    def reject(self, rejections: list[Rejection]) -> None:
        """Count rejected lines."""
        self.rejected += len(rejections)
        self.reasons.update(rejection.reason for rejection in rejections)
        self.first += rejections[: MAX_REPORTED_REJECTIONS - len(self.first)]


class ImportRejected(DomainError):
    """Some lines cannot be added, so none is."""

    code = "IMPORT_REJECTED"

    def __init__(self, report: ImportReport) -> None:
        self.report, self.meta = report, report.as_dict()
        super().__init__(f"No key was added: {report.rejected:,} of {report.lines:,} lines were rejected")


class StagedImport:
    """An import whose keys are written but still invisible."""

    def __init__(
        self, importer: BulkImporter, report: ImportReport, audit: AuditContext, *, skip_invalid: bool, is_used: bool
    ) -> None:
        self.report = report
        self._importer, self._audit, self._skip_invalid, self._is_used = importer, audit, skip_invalid, is_used

    @transaction.atomic
    def publish(self) -> None:
        """Make the keys available, with the caller's transaction.

        Raises:
            ImportRejected: a line was rejected, and `skip_invalid` is false.
        """
        report, key_import = self.report, self._importer.key_import
        self._refuse_rejected()
        if report.good:
            report.reject([Rejection(0, None, "", reason) for reason in self._importer.publish().values()])
            self._refuse_rejected()
        if report.good and not self._importer.dry_run:
            key_import.added, key_import.rejected = report.good, report.rejected
            key_import.save(update_fields=["added", "rejected", "updated"])
            report.key_import = key_import
            details: KeyEvent.Details = {"count": report.good}
            if self._is_used:
                details["used"] = True
            KeyEvent.about_many(
                KeyEvent.Event.ADDED, key_import.policy, self._audit, key_import=key_import, details=details
            ).save()
            if not self._is_used:
                reset_low_alert(key_import.policy)

    def _refuse_rejected(self) -> None:
        if self.report.rejected and not self._skip_invalid:
            raise ImportRejected(self.report)


@contextmanager
def stage_import(
    *,
    policy: Policy,
    files: Iterable[Iterable[Line]],
    audit: AuditContext,
    name: str = "",
    source: str = "",
    skip_invalid: bool = False,
    dry_run: bool = False,
    used: datetime | None = None,
    on_rejected: Callable[[list[Rejection]], None] = lambda rejections: None,
    on_progress: Callable[[ImportReport], None] = lambda report: None,
) -> Iterator[StagedImport]:
    """Read files of keys and write the keys, in the order of their lines. They are invisible until `publish()`.

    If the context ends without `publish()`, nothing is added. Memory is flat, whatever the size of the files.

    Args:
        files: the lines of each file, from `pools.key_files.open_key_file`.
        name, source: the operator's name for the import, and the name of its file.
        skip_invalid: add the other lines if some are rejected.
        dry_run: write nothing; the report is the same.
        used: the keys were used in another system: at the time in the file's column `popped`, or else at this time.
            They are added as popped, so that their texts are blocked.
        on_rejected: is called with the rejections of each chunk, in the order of the lines.
        on_progress: is called with the report after each chunk.

    Raises:
        PoolNotSupported: the policy has no pool.
        FileUnreadable, FileTooLarge: a file as a whole is refused.
    """
    if not policy.use_pool:
        raise PoolNotSupported
    key_import = KeyImport(
        account=policy.account,
        policy=policy,
        name=name,
        source=source,
        operator=audit.operator,
        bearer_type=audit.bearer_type,
        bearer_id=audit.bearer_id,
    )
    report = ImportReport(dry_run=dry_run)
    with bulk_importer(key_import, dry_run=dry_run) as importer:
        for chunk in _prefetch(_read_chunks(files, used)):
            report.lines += len(chunk.rows) + len(chunk.rejections)
            report.blank += chunk.blank
            rejections = chunk.rejections
            for taken, reason in importer.write([row for _, _, row in chunk.rows.values()]).items():
                file, number, row = chunk.rows[taken]
                if row.used and reason in (Reason.AVAILABLE, Reason.ELSEWHERE):
                    reason = Reason.STILL_AVAILABLE  # its pool would hand out a used key
                rejections.append(Rejection(file, number, row.text, reason))
            rejections.sort(key=lambda rejection: rejection[:2])
            report.reject(rejections)
            if rejections:
                on_rejected(rejections)
            on_progress(report)
        yield StagedImport(importer, report, audit, skip_invalid=skip_invalid, is_used=used is not None)


def import_keys(**options: Any) -> ImportReport:
    """Import files of keys: all keys are added or, unless `skip_invalid` is set, none.

    Args:
        options: as for `stage_import`.
    """
    try:
        with stage_import(**options) as staged:
            staged.publish()
            return staged.report
    except ImportRejected as rejected:
        return rejected.report


@dataclass
class _Chunk:
    """Some lines: the possible keys as (file, line, row) by digest, and the lines that are rejected already."""

    rows: dict[bytes, tuple[int, int, Row]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    blank: int = 0


def _read_chunks(files: Iterable[Iterable[Line]], used: datetime | None) -> Iterator[_Chunk]:
    lines = ((index, line) for index, file in enumerate(files) for line in file)
    while chunk_lines := list(islice(lines, CHUNK_LINES)):
        chunk = _Chunk()
        for index, (number, text, reason, popped, _, _) in chunk_lines:
            time = used
            if used and popped and not reason:
                time = _parse_used(popped)
                reason = None if time else Reason.NOT_A_TIME
            if reason:
                chunk.rejections.append(Rejection(index, number, text, reason))
            elif not text:
                chunk.blank += 1
            else:
                row = Row.from_text(text, time)
                if row.digest in chunk.rows:
                    chunk.rejections.append(Rejection(index, number, text, Reason.REPEATED))
                else:
                    chunk.rows[row.digest] = (index, number, row)
        yield chunk


def _parse_used(text: str) -> datetime | None:
    """The time in a column `popped`, in UTC unless it has an offset. None if it is none, or in the future."""
    try:
        time = parse_datetime(text)
        if time is None:
            return None
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return time if time <= timezone.now() else None


def _prefetch(chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
    """The same chunks, each read in a thread while the database is busy with the one before."""
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(next, chunks, None)
        while chunk := future.result():
            future = executor.submit(next, chunks, None)
            yield chunk
