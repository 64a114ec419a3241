"""Importing files of keys into a pool, for the command, the API and the console."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from keygen_site.wording import count_of, was
from licensing.models import Policy, PoolNotSupported
from pools.bulk_import import BulkImporter, bulk_importer
from pools.key_files import FileTooLarge, KeyFile, Line, Reason, Understood
from pools.key_files.key_texts import escape_text
from pools.key_files.warnings import FileProfile, FileWarning
from pools.key_rows import RowMaker
from pools.models import KeyEvent, KeyImport
from pools.services.file_warnings import find_warnings, sample_pool
from pools.services.import_chunks import prefetch, read_chunks
from pools.services.low_stock import reset_low_alert
from pools.services.rejections import TAKEN_REASONS, Explainer, Rejection, SeenLines
from pools.services.table_statistics import refresh_statistics_after
from pools.services.used_rows import Conflict, UsedRows

MAX_REPORTED_REJECTIONS = 1_000
SHOWN_KEYS = 5  # of either end of the files
_SHOWN_COLUMNS, _SHOWN_CHARACTERS = 5, 60
_CONFLICTS_AT_ONCE = 10_000

logger = logging.getLogger(__name__)


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
        understood: the form of each file.
        warnings: about all files, serious ones first.
        first_keys, last_keys: the first and the last texts that can be keys, in full, at most SHOWN_KEYS each.
        trimmed: the number of lines whose blanks were removed.
        used: the number of lines that can be added as used.
        malformed: the number of rejected lines whose texts cannot be keys of any pool.
        refusal: why nothing was added, if the import as a whole is refused.
    """

    dry_run: bool = False
    lines: int = 0
    blank: int = 0
    rejected: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    first: list[Rejection] = field(default_factory=list)
    key_import: KeyImport | None = None
    understood: list[Understood] = field(default_factory=list)
    warnings: list[FileWarning] = field(default_factory=list)
    first_keys: list[str] = field(default_factory=list)
    last_keys: list[str] = field(default_factory=list)
    trimmed: int = 0
    used: int = 0
    malformed: int = 0
    refusal: "ImportRefused | None" = None

    @property
    def good(self) -> int:
        """The number of lines that can be added."""
        return self.lines - self.rejected

    @property
    def added(self) -> int:
        """The number of keys that were added."""
        return self.key_import.added if self.key_import else 0

    @property
    def would_add(self) -> int | None:
        """In a dry run, the number of keys that an import with the same options adds."""
        if not self.dry_run:
            return None
        return 0 if self.refusal else self.good

    @property
    def already_imported(self) -> bool:
        """Whether an earlier import has added every line that can be a key."""
        before = sum(self.reasons[reason] for reason in (Reason.AVAILABLE, Reason.POPPED, Reason.WITHDRAWN))
        return 0 < before == self.lines - self.malformed - self.reasons[Reason.REPEATED]

    @property
    def serious_warnings(self) -> list[FileWarning]:
        return [warning for warning in self.warnings if warning.is_serious]

    def as_dict(self, files: Sequence[str] = (), max_rejections: int = MAX_REPORTED_REJECTIONS) -> dict[str, Any]:
        """The report in the form of the API and of the commands' JSON.

        Args:
            files: the names of the files; without them, rejections and warnings do not name their file.
        """

        def name(file: int) -> dict[str, str]:
            return {"file": files[file]} if files else {}

        return {
            "dryRun": self.dry_run,
            "import": self.key_import and str(self.key_import.pk),
            "lines": self.lines,
            "blank": self.blank,
            "added": self.added,
            "rejected": self.rejected,
            "reasons": {reason.code: count for reason, count in self.reasons.most_common()},
            "rejections": [
                name(each.file) | {"line": each.line, "code": each.reason.code, "detail": each.sentence}
                for each in self.first[:max_rejections]
            ],
            "wouldAdd": self.would_add,
            "alreadyImported": self.already_imported,
            "trimmed": self.trimmed,
            "used": self.used,
            "firstKeys": self.first_keys,
            "lastKeys": self.last_keys,
            "understood": [name(file) | each.as_dict() for file, each in enumerate(self.understood)],
            "warnings": [name(each.file) | each.as_dict() for each in self.warnings],
        }

    def reject(self, rejections: list[Rejection]) -> None:
        """Count rejected lines."""
        self.rejected += len(rejections)
        self.malformed += sum(rejection.reason not in TAKEN_REASONS for rejection in rejections)
        self.reasons.update(rejection.reason for rejection in rejections)
        self.first += rejections[: MAX_REPORTED_REJECTIONS - len(self.first)]


class ImportRefused(DomainError):
    """No key was added. The report says why."""

    def __init__(self, report: ImportReport, detail: str) -> None:
        report.refusal = self
        self.report, self.meta = report, report.as_dict()
        super().__init__(detail)


class ImportRejected(ImportRefused):
    """Some lines cannot be added, so none is."""

    code = "IMPORT_REJECTED"
    about = REFERENCE

    def __init__(self, report: ImportReport) -> None:
        used = report.reasons[Reason.USED_ROW]
        names = dict.fromkeys(name for each in report.understood for name in each.state_columns)
        columns = ", ".join(escape_text(name[:_SHOWN_CHARACTERS]) for name in list(names)[:_SHOWN_COLUMNS])
        way_out = (
            f". {used:,} of them are used, as the columns say: {columns}. If these columns say something else, import "
            "the file with --used-rows ignore (in the API ?used-rows=ignore); to add the keys as used, with "
            "--used-rows used"
        )
        super().__init__(
            report,
            f"No key was added: {report.rejected:,} of {count_of(report.lines, 'line')} {was(report.rejected)} rejected"
            + (way_out if used and columns else ""),
        )


class WarningsNotAccepted(ImportRefused):
    """Some lines are almost certainly no keys."""

    code = "IMPORT_WARNINGS"
    about = REFERENCE

    def __init__(self, report: ImportReport) -> None:
        found = " ".join(warning.message for warning in report.serious_warnings)
        super().__init__(
            report,
            f"No key was added. {found} Correct the file or, if these lines are keys, import it with --accept-warnings "
            "(in the API ?accept-warnings).",
        )


class AlreadyImported(ImportRefused):
    """An earlier import has added all keys of the file."""

    status = 409
    title = "Conflict"
    code = "ALREADY_IMPORTED"
    about = REFERENCE

    def __init__(self, report: ImportReport) -> None:
        super().__init__(report, "No key was added: all keys of the file have been imported before")


class StagedImport:
    """An import whose keys are written but still invisible."""

    def __init__(
        self,
        importer: BulkImporter,
        report: ImportReport,
        audit: AuditContext,
        explainer: Explainer,
        *,
        skip_invalid: bool,
        accept_warnings: bool,
    ) -> None:
        self.report = report
        self._importer, self._audit, self._explainer = importer, audit, explainer
        self._skip_invalid, self._accept_warnings = skip_invalid, accept_warnings

    @transaction.atomic
    def publish(self) -> None:
        """Make the keys available, with the caller's transaction.

        Raises:
            AlreadyImported: an earlier import has added all keys.
            ImportRejected: a line was rejected, and `skip_invalid` is false.
            WarningsNotAccepted: there are serious warnings, and `accept_warnings` is false.
        """
        report, key_import = self.report, self._importer.key_import
        if report.already_imported and (self._skip_invalid or not report.malformed):
            raise AlreadyImported(report)
        self._refuse_rejected()
        if report.serious_warnings and not self._accept_warnings:
            raise WarningsNotAccepted(report)
        if report.good:
            refused = self._explainer.conceal(self._importer.publish())
            report.reject([Rejection(0, None, "", reason) for reason in refused.values()])
            self._refuse_rejected()
        if report.good and not self._importer.dry_run:
            key_import.added, key_import.rejected = report.good, report.rejected
            key_import.save(update_fields=["added", "rejected", "updated"])
            report.key_import = key_import
            details: KeyEvent.Details = {"count": report.good}
            are_used = report.used >= report.good  # a license may have got some texts meanwhile
            if are_used:
                details["used"] = True
            KeyEvent.about_many(
                KeyEvent.Event.ADDED, key_import.policy, self._audit, key_import=key_import, details=details
            ).save()
            if not are_used:
                reset_low_alert(key_import.policy)
            refresh_statistics_after(report.good)

    def _refuse_rejected(self) -> None:
        if self.report.rejected and not self._skip_invalid:
            raise ImportRejected(self.report)


@contextmanager
def stage_import(
    *,
    policy: Policy,
    files: Iterable[KeyFile | Iterable[Line]],
    audit: AuditContext,
    name: str = "",
    source: str = "",
    skip_invalid: bool = False,
    dry_run: bool = False,
    used: datetime | None = None,
    accept_warnings: bool = False,
    import_id: UUID | None = None,
    wait: bool = True,
    has_timeouts: bool = False,
    max_lines: int | None = None,
    on_rejected: Callable[[list[Rejection]], None] = lambda rejections: None,
    on_progress: Callable[[ImportReport], None] = lambda report: None,
) -> Iterator[StagedImport]:
    """Read files of keys and write the keys, in the order of their lines. They are invisible until `publish()`.

    If the context ends without `publish()`, nothing is added. Memory does not grow with the size of the files.

    Args:
        files: the lines of each file, from `pools.key_files.open_key_file`.
        name, source: the operator's name for the import, and the name of its file.
        skip_invalid: add the other lines if some are rejected.
        dry_run: write nothing; the report is the same.
        used: the keys were used in another system: at the time in the file's column `popped`, or else at this time.
            They are added as popped, so that their texts are blocked.
        accept_warnings: add the keys even if some lines are almost certainly no keys.
        import_id: the id of the import.
        wait, has_timeouts: as for `bulk_importer`.
        max_lines: the maximum number of lines, blank ones as well.
        on_rejected: is called with the rejections of each chunk, in the order of the lines.
        on_progress: is called with the report after each chunk.

    Raises:
        PoolNotSupported: the policy has no pool.
        FileUnreadable, FileTooLarge, NoKeys: a file as a whole is refused.
        ImportBusy: another import of the account runs, and `wait` is false.
    """
    if not policy.use_pool:
        raise PoolNotSupported
    key_import = KeyImport(
        account=policy.account,
        policy=policy,
        name=name,
        source=source,
        operator=audit.operator,
        operator_id=audit.operator_id,
        bearer_type=audit.bearer_type,
        bearer_id=audit.bearer_id,
        **({"id": import_id} if import_id else {}),
    )
    files = list(files)
    names = [getattr(file, "name", "") for file in files]
    profiles = [
        FileProfile(index, is_text=not isinstance(file, KeyFile) or file.understood.kind == "text")
        for index, file in enumerate(files)
    ]
    report, last_keys = ImportReport(dry_run=dry_run), deque[str](maxlen=SHOWN_KEYS)
    seen, row_states = SeenLines(), UsedRows()
    has_states = any(not isinstance(file, KeyFile) or file.understood.may_have_states for file in files)
    explainer, rows = Explainer(policy, audit, seen, names), RowMaker()
    pool_sample = sample_pool(policy)
    importing = bulk_importer(key_import, dry_run=dry_run, wait=wait, has_timeouts=has_timeouts)
    with _logged(report, policy, audit), importing as importer:
        for chunk in prefetch(read_chunks(files, profiles, used, explainer, rows, importer.encode)):
            report.lines += len(chunk.rows) + len(chunk.rejections)
            report.blank += chunk.blank
            if max_lines is not None and report.lines + report.blank > max_lines:
                raise FileTooLarge(f"The file has more than {max_lines:,} lines. Import it in several parts")
            seen.add(chunk.file, chunk.rows, chunk.lines)
            texts = chunk.texts
            report.first_keys += texts[: SHOWN_KEYS - len(report.first_keys)]
            last_keys.extend(texts[-SHOWN_KEYS:])
            rejections, used_rows = chunk.rejections, chunk.used
            refused = explainer.conceal(importer.write(chunk.encoded))
            if has_states:
                for line, text in chunk.blocked.values():
                    row_states.add_used(chunk.file, line, text)
                free = [
                    (key, line) for key, (line, row) in chunk.rows.items() if row.used is None and key not in refused
                ]
                row_states.add_free(chunk.file, [key for key, _ in free], [line for _, line in free])
            for taken, reason in refused.items():
                line, row = chunk.rows[taken]
                if row.used:
                    used_rows -= 1
                    if reason is Reason.REPEATED:
                        row_states.add_used(chunk.file, line, row.text, row.used)
                    if reason in (Reason.AVAILABLE, Reason.ELSEWHERE):
                        reason = Reason.STILL_AVAILABLE  # its pool would hand out a used key
                rejections.append(Rejection(chunk.file, line, row.text, reason))
            report.used += used_rows
            if rejections:
                rejections.sort(key=lambda rejection: rejection[:2])
                # Details cost queries, and a person reads only some.
                reported = explainer.explain(rejections[: MAX_REPORTED_REJECTIONS - len(report.first)])
                rejections[: len(reported)] = reported
                report.reject(rejections)
                on_rejected(rejections)
            on_progress(report)
        report.last_keys = list(last_keys)
        _block_used(row_states.conflicts(), importer, report, explainer, rows, on_rejected)
        report.understood = [file.understood for file in files if isinstance(file, KeyFile)]
        report.trimmed = sum(file.trimmed for file in files if isinstance(file, KeyFile))
        report.warnings = find_warnings(key_import, profiles, seen, pool_sample)
        yield StagedImport(
            importer, report, audit, explainer, skip_invalid=skip_invalid, accept_warnings=accept_warnings
        )


@contextmanager
def _logged(report: ImportReport, policy: Policy, audit: AuditContext) -> Iterator[None]:
    """Log a dry run, which leaves no other trace."""
    started = time.monotonic()
    try:
        yield
    finally:
        if report.dry_run:
            logger.info(
                "dry run of an import: account %s, policy %s, by %s, %s lines, %s rejected, %.1f s",
                policy.account_id,
                policy.pk,
                f"user {audit.operator_id}" if audit.operator_id else audit.actor,
                report.lines,
                report.rejected,
                time.monotonic() - started,
            )


def _block_used(
    conflicts: Iterator[Conflict],
    importer: BulkImporter,
    report: ImportReport,
    explainer: Explainer,
    rows: RowMaker,
    on_rejected: Callable[[list[Rejection]], None],
) -> None:
    """Keep free rows from being added as available if another row calls their key used.

    They are rejected or, where used rows are added as used, replaced by those.
    """
    done: set[bytes] = set()
    while batch := list(islice(conflicts, _CONFLICTS_AT_ONCE)):
        found = {each.digest: each for each in batch if each.digest not in done}
        done.update(found)
        rejections = [
            Rejection(*each.free, each.text, Reason.USED_ROW, explainer.used_as(each.used, each.free.file))
            for each in found.values()
            if each.time is None
        ]
        used = [rows.make(each.text, each.time) for each in found.values() if each.time]
        refused: dict[bytes, Reason] = {}
        if not importer.dry_run:
            importer.remove(list(found))
            refused = explainer.conceal(importer.write(importer.encode(used))) if used else {}
        rejections += [Rejection(*found[key].free, found[key].text, reason) for key, reason in refused.items()]
        report.used += len(used) - len(refused)
        if rejections:
            rejections.sort(key=lambda rejection: rejection[:2])
            report.reject(rejections)
            on_rejected(rejections)
        removed = {each.text for each in rejections}
        report.first_keys = [text for text in report.first_keys if text not in removed]
        report.last_keys = [text for text in report.last_keys if text not in removed]


def import_keys(**options: Any) -> ImportReport:
    """Import files of keys: all keys are added or, unless `skip_invalid` is set, none.

    If the import as a whole is refused, the report says so (`ImportReport.refusal`).

    Args:
        options: as for `stage_import`.
    """
    try:
        with stage_import(**options) as staged:
            staged.publish()
            return staged.report
    except ImportRefused as refused:
        return refused.report
