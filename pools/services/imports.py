"""Adding files of keys to a pool: one importer behind the command, the API and the console."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from django.db import transaction

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy, PoolNotSupported
from pools.bulk_import import BulkImporter, Row, bulk_importer
from pools.key_files import Line, Reason
from pools.models import KeyImport
from pools.services.low_stock import reset_low_alert

CHUNK = 10_000  # lines
KEPT = 1_000  # rejections in a report


class Rejection(NamedTuple):
    """A line that was not added: in which of the files (from 0), its number there (from 1), its text, and why.

    `line` is None where a license got the text while the import ran: that shows at the end, where lines are gone.
    """

    file: int
    line: int | None
    text: str
    reason: Reason


@dataclass
class ImportReport:
    """What came of an import, or would come of it.

    Attributes:
        lines: lines read, without the blank ones.
        blank: lines without anything on them.
        rejected: lines that cannot be added; `reasons` says how many for which `Reason`.
        first: the first rejections, KEPT at most.
        key_import: the import; None where nothing was added.
    """

    dry_run: bool = False
    lines: int = 0
    blank: int = 0
    rejected: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    first: list[Rejection] = field(default_factory=list)
    key_import: KeyImport | None = None

    @property
    def good(self):
        """How many lines can be added."""
        return self.lines - self.rejected

    @property
    def added(self):
        """How many keys were added."""
        return self.key_import.added if self.key_import else 0

    @property
    def nothing_new(self):
        """Whether every line has a key that came by an earlier import or the like."""
        before = (Reason.AVAILABLE, Reason.POPPED, Reason.WITHDRAWN)
        return 0 < self.lines == sum(self.reasons[reason] for reason in before)

    def as_dict(self, files=(), most=KEPT):
        """The report, as the API and the commands print it.

        Args:
            files: their names; without any, rejections do not say which file they were in.
            most: rejections to show.
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
                for file, line, _, reason in self.first[:most]
            ],
        }

    def reject(self, rejections: list[Rejection]):
        """Count lines among the rejected ones."""
        self.rejected += len(rejections)
        self.reasons.update(rejection.reason for rejection in rejections)
        self.first += rejections[: KEPT - len(self.first)]


class ImportRejected(DomainError):
    """Some lines cannot be added, so none was."""

    code = "IMPORT_REJECTED"

    def __init__(self, report):
        self.report, self.meta = report, report.as_dict()
        super().__init__(f"No key was added: {report.rejected:,} of {report.lines:,} lines were rejected")


class StagedImport:
    """An import whose lines have been read and written where nobody sees them.

    Attributes:
        report: what would come of it.
    """

    def __init__(self, load: BulkImporter, report: ImportReport, skip_invalid: bool):
        self.report = report
        self._load, self._skip_invalid = load, skip_invalid

    @transaction.atomic
    def publish(self):
        """Let the keys be handed out, in the transaction that this is called in.

        Raises:
            ImportRejected: a line was rejected, and invalid ones are not to be skipped.
        """
        report, key_import = self.report, self._load.key_import
        self._refuse_rejected()
        if report.good:
            report.reject([Rejection(0, None, "", reason) for reason in self._load.publish().values()])
            self._refuse_rejected()
        if report.good and not self._load.dry_run:
            key_import.added, key_import.rejected = report.good, report.rejected
            key_import.save(update_fields=["added", "rejected", "updated"])
            report.key_import = key_import
            reset_low_alert(key_import.policy)

    def _refuse_rejected(self):
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
    on_rejected: Callable[[list[Rejection]], None] = lambda rejections: None,
    on_progress: Callable[[ImportReport], None] = lambda report: None,
) -> Iterator[StagedImport]:
    """Read files of keys and write the keys, in the order of their lines, where nobody sees them before `publish()`.

    Nothing is left of it when the context ends without that. Memory is flat, whatever the size of the files.

    Args:
        files: the lines of each, by `pools.key_files.read_keys`.
        name, source: what the operator calls the import, and the name of its file.
        skip_invalid: rejected lines do not keep the others from being added.
        dry_run: nothing is written; the report is the same.
        on_rejected: gets all rejections, in the order of the lines, some at a time.
        on_progress: gets the report as it grows.

    Raises:
        PoolNotSupported: the policy has no pool.
        FileUnreadable, FileTooLarge: a file is not what it should be, as a whole.
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
    with bulk_importer(key_import, dry_run=dry_run) as load:
        for chunk in _prefetch(_chunks(files)):
            report.lines += len(chunk.rows) + len(chunk.rejections)
            report.blank += chunk.blank
            rejections = chunk.rejections
            for taken, reason in load.write([row for _, _, row in chunk.rows.values()]).items():
                file, number, row = chunk.rows[taken]
                rejections.append(Rejection(file, number, row.text, reason))
            rejections.sort(key=lambda rejection: rejection[:2])
            report.reject(rejections)
            if rejections:
                on_rejected(rejections)
            on_progress(report)
        yield StagedImport(load, report, skip_invalid)


def import_keys(**options) -> ImportReport:
    """Add the keys of some files to a pool: all of them or, unless `skip_invalid` says otherwise, none.

    Args:
        options: as for `importing`.

    Returns:
        The report. Its `key_import` is None where nothing was added.
    """
    try:
        with stage_import(**options) as unpublished:
            unpublished.publish()
            return unpublished.report
    except ImportRejected as rejected:
        return rejected.report


@dataclass
class _Chunk:
    """Some lines: what may be added, by digest, and what is known to be wrong already."""

    rows: dict[bytes, tuple[int, int, Row]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    blank: int = 0


def _chunks(files):
    lines = ((index, line) for index, file in enumerate(files) for line in file)
    while some := list(islice(lines, CHUNK)):
        chunk = _Chunk()
        for index, (number, text, reason) in some:
            if reason:
                chunk.rejections.append(Rejection(index, number, text, reason))
            elif not text:
                chunk.blank += 1
            else:
                row = Row.of(text)
                if row.digest in chunk.rows:
                    chunk.rejections.append(Rejection(index, number, text, Reason.REPEATED))
                else:
                    chunk.rows[row.digest] = (index, number, row)
        yield chunk


def _prefetch(chunks):
    """The same, each prepared in a thread while the database is busy with the one before."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, chunks, None)
        while chunk := coming.result():
            coming = thread.submit(next, chunks, None)
            yield chunk
