"""The work on a pending import: its file is checked or imported, and the result is stored with it."""

import csv
import io
import logging
import time
from contextlib import nullcontext, suppress
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.dateparse import parse_datetime

from accounts.audit import AuditContext
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from pools.import_locks import ImportBusy
from pools.key_files import ColumnAmbiguous, FileTooLarge, ReadOptions, UsedRows, open_key_file
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PART_BYTES, ClaimLost
from pools.services.imports import ImportRefused, ImportReport, stage_import
from pools.services.rejections import REJECTED_COLUMNS, Rejection, rejected_row

MAX_DIRECT_LINES = 10_000  # of a file that is imported within a request; they take less than a second
MAX_SHOWN_REJECTIONS = 100
# A worker pauses after each chunk, for this share of the time that the chunk took. The processes of the database do not
# have the low priority of the worker; in the pause they serve others. The next chunk is read during the pause.
PAUSE, MAX_PAUSE_SECONDS = 0.5, 0.25
MAX_REJECTED_BYTES = 64 << 20  # of the stored CSV of rejected lines

logger = logging.getLogger(__name__)


class ImportFailed(DomainError):
    """An unexpected exception; its traceback is in the log."""

    status = 500
    title = "Internal server error"
    detail = "Something went wrong on the server; its log says what. Nothing was added."
    code = "IMPORT_FAILED"


def options_of(pending: PendingImport) -> ReadOptions:
    """How the file of a pending import is read."""
    options = pending.options
    if "used_rows" in options:
        options = options | {"used_rows": UsedRows(options["used_rows"])}
    return ReadOptions(format=pending.format or None, column=pending.column or None, **options)


def audit_of(pending: PendingImport) -> AuditContext:
    """The author of a pending import, for the ledger."""
    if not pending.request:
        return AuditContext(operator=pending.operator, operator_id=pending.operator_id, request_id=str(pending.pk))
    audit = pending.request["audit"]
    return AuditContext(**audit | {name: parse_uuid(audit[name]) for name in ("bearer_id", "token_id", "operator_id")})


def process(pending: PendingImport, *, in_request: bool = False) -> None:
    """Check or import the file of a pending import, which this process has claimed.

    Args:
        in_request: refuse what would keep a request busy for long.

    Raises:
        ImportBusy: another import of the account runs.
        FileTooLarge: `in_request`, and the file has more than a request may import.
    """
    try:
        with pending.open_file() as given, TemporaryFile() as rejected:
            _import(pending, given, rejected, in_request)
    except ImportBusy:
        raise
    except ClaimLost:
        logger.warning("another worker has taken over the pending import %s", pending.pk)
    except DomainError as error:
        if in_request and isinstance(error, FileTooLarge):
            raise
        fail(pending, error)
    except Exception:
        fail(pending, ImportFailed())
        raise


def _import(pending: PendingImport, given: BinaryIO, rejected: BinaryIO, in_request: bool) -> None:
    text = io.TextIOWrapper(rejected, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(REJECTED_COLUMNS[1:])

    def on_rejected(rejections: list[Rejection]) -> None:
        if rejected.tell() < MAX_REJECTED_BYTES:
            rows.writerows(rejected_row(each, "")[1:] for each in rejections)

    last = time.monotonic()

    def on_progress(report: ImportReport) -> None:
        nonlocal last
        pending.lines = report.lines
        if not in_request:
            time.sleep(min(PAUSE * (time.monotonic() - last), MAX_PAUSE_SECONDS))
        last = time.monotonic()

    request, dry_run = pending.request, pending.state == PendingImport.State.CHECKING
    max_bytes, max_lines = settings.MAX_IMPORT_BYTES, settings.MAX_IMPORT_LINES
    if in_request:
        max_bytes, max_lines = min(max_bytes, settings.MAX_DIRECT_IMPORT_BYTES), MAX_DIRECT_LINES
    file = open_key_file(
        given,
        options_of(pending),
        name=pending.source,
        media_type=request.get("media_type", ""),
        charset=request.get("charset", ""),
        max_bytes=max_bytes,
    )
    staged_import = stage_import(
        policy=pending.policy,
        files=[file],
        audit=audit_of(pending),
        name=pending.name,
        source=pending.source,
        skip_invalid=pending.skip_invalid,
        dry_run=dry_run,
        used=parse_datetime(request.get("used") or ""),
        accept_warnings=pending.accept_warnings,
        import_id=pending.pk,
        wait=False,
        has_timeouts=in_request,
        max_lines=max_lines,
        on_rejected=on_rejected,
        on_progress=on_progress,
    )
    with staged_import as staged:
        if dry_run:
            # The page of the console shows the report of a refused file as well.
            with nullcontext() if request else suppress(ImportRefused):
                staged.publish()
        else:
            # One transaction, so that the pending import and the pool always agree.
            with pending.finishing():
                staged.publish()
                _finish(pending, staged.report, rejected)
    if dry_run:
        with pending.finishing():
            _finish(pending, staged.report, rejected)


def _finish(pending: PendingImport, report: ImportReport, rejected: BinaryIO) -> None:
    is_check = pending.state == PendingImport.State.CHECKING
    pending.state = PendingImport.State.CHECKED if is_check else PendingImport.State.DONE
    pending.key_import, pending.lines = report.key_import, report.lines
    pending.report = report.as_dict() if pending.request else _report_of(report)
    pending.parts.filter(kind=PendingImportPart.Kind.REJECTED).delete()
    if report.rejected:
        _store_rejected(pending, rejected)
    if pending.request or not is_check:
        pending.parts.filter(kind=PendingImportPart.Kind.GIVEN).delete()
    pending.save(update_fields=["state", "key_import", "lines", "report", "updated"])


def _store_rejected(pending: PendingImport, rejected: BinaryIO) -> None:
    rejected.seek(0)
    pending.write_file(PendingImportPart.Kind.REJECTED, iter(lambda: rejected.read(PART_BYTES), b""))


def _report_of(report: ImportReport) -> dict[str, Any]:
    """The report for the page of the console."""
    return {
        "understood": report.understood[0].as_dict(),
        "lines": report.lines,
        "blank": report.blank,
        "trimmed": report.trimmed,
        "good": report.good,
        "added": report.added,
        "used": report.used,
        "rejected": report.rejected,
        "already_imported": report.already_imported,
        "warnings": [warning.as_dict() for warning in report.warnings],
        "reasons": [[f"The key {reason.value}", count] for reason, count in report.reasons.most_common()],
        "first": report.first_keys,
        "last": [key for key in report.last_keys if key not in report.first_keys],
        "first_rejected": [[each.line, each.sentence, each.text] for each in report.first[:MAX_SHOWN_REJECTIONS]],
    }


def fail(pending: PendingImport, error: DomainError) -> None:
    """Store the error of a pending import that added nothing.

    The file of the console is kept, so that it can be checked again with other options.
    """
    pending.state, pending.problem, pending.report = PendingImport.State.FAILED, error.detail[:2000], {}
    if pending.request:
        pending.report = dict(error.meta)
        pending.error = {"status": str(error.status), "title": error.title, "detail": error.detail, "code": error.code}
    elif isinstance(error, ColumnAmbiguous):
        pending.report = {"question": dict(error.meta)}
    with suppress(ClaimLost), pending.finishing():
        kinds = [PendingImportPart.Kind.REJECTED, *([PendingImportPart.Kind.GIVEN] if pending.request else [])]
        pending.parts.filter(kind__in=kinds).delete()
        pending.save(update_fields=["state", "problem", "report", "error", "updated"])
