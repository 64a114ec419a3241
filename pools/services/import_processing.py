"""The work on a pending import: its file is checked or imported, and the result is stored with it."""

import csv
import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.dateparse import parse_datetime

from accounts.audit import AuditContext
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from pools.import_locks import ImportBusy
from pools.key_files import (
    ColumnAmbiguous,
    FileTooLarge,
    FileUnreadable,
    KeyFile,
    NoKeys,
    ReadOptions,
    UsedRows,
    open_key_file,
)
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
    """An unexpected error. The log of the server has the details. Nothing was added."""

    status = 500
    title = "Internal server error"
    detail = "Something went wrong on the server; its log says what. Nothing was added."
    code = "IMPORT_FAILED"
    about = REFERENCE


def options_of(pending: PendingImport, place: int | None = None) -> ReadOptions:
    """How the files of a pending import are read.

    Args:
        place: one of the files, which may have options of its own.
    """
    options = {name: value for name, value in pending.options.items() if name != "files"}
    if "used_rows" in options:
        options["used_rows"] = UsedRows(options["used_rows"])
    common = ReadOptions(format=pending.format or None, column=pending.column or None, **options)
    return common if place is None else replace(common, **pending.options.get("files", {}).get(str(place), {}))


def audit_of(pending: PendingImport) -> AuditContext:
    """The author of a pending import, for the ledger."""
    if not pending.request:
        return AuditContext(operator=pending.operator, operator_id=pending.operator_id, request_id=str(pending.pk))
    audit = pending.request["audit"]
    return AuditContext(**audit | {name: parse_uuid(audit[name]) for name in ("bearer_id", "token_id", "operator_id")})


def process(pending: PendingImport, *, in_request: bool = False) -> None:
    """Check or import the files of a pending import, which this process has claimed.

    Args:
        in_request: refuse a file that would keep the request busy for long.

    Raises:
        ImportBusy: another import of the account runs.
        FileTooLarge: `in_request`, and the file has more than a request may import.
    """
    try:
        with pending.open_files() as given, TemporaryFile() as rejected:
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


def _import(pending: PendingImport, given: Sequence[BinaryIO], rejected: BinaryIO, in_request: bool) -> None:
    text = io.TextIOWrapper(rejected, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    names = [file["name"] or "pasted keys" for file in pending.given_files] if len(given) > 1 else []
    first = 0 if names else 1  # with one file, its name is left out
    rows.writerow(REJECTED_COLUMNS[first:])

    def on_rejected(rejections: list[Rejection]) -> None:
        if rejected.tell() < MAX_REJECTED_BYTES:
            rows.writerows(rejected_row(each, names[each.file] if names else "")[first:] for each in rejections)

    last = time.monotonic()

    def on_progress(report: ImportReport) -> None:
        nonlocal last
        pending.lines = report.lines
        if len(files) > 1 and sum(file.bytes_read for file in files) > max_bytes:
            raise FileTooLarge("The files are too large together. Import them in several parts")
        if not in_request:
            time.sleep(min(PAUSE * (time.monotonic() - last), MAX_PAUSE_SECONDS))
        last = time.monotonic()

    request, dry_run = pending.request, pending.state == PendingImport.State.CHECKING
    max_bytes, max_lines = settings.MAX_IMPORT_BYTES, settings.MAX_IMPORT_LINES
    if in_request:
        max_bytes, max_lines = min(max_bytes, settings.MAX_DIRECT_IMPORT_BYTES), MAX_DIRECT_LINES
    files: list[KeyFile] = []
    with _noting_file(pending, lambda: len(files)):  # the one after those that were opened
        for place, (each, binary) in enumerate(zip(pending.given_files, given, strict=True)):
            file = open_key_file(
                binary,
                options_of(pending, place),
                name=each["name"],
                media_type=request.get("media_type", ""),
                charset=request.get("charset", ""),
                max_bytes=max_bytes,
            )
            files.append(file)
    staged_import = stage_import(
        policy=pending.policy,
        files=files,
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
    with _noting_file(pending, lambda: _first_unread(files)), staged_import as staged:
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


@contextmanager
def _noting_file(pending: PendingImport, place: Callable[[], int | None]) -> Iterator[None]:
    """Note in `failed_file` which of several files an error is about."""
    try:
        yield
    except (ColumnAmbiguous, FileTooLarge, FileUnreadable, NoKeys):
        if len(pending.given_files) > 1:
            pending.failed_file = place()
        raise


def _first_unread(files: Sequence[KeyFile]) -> int | None:
    return next((place for place, file in enumerate(files) if not file.is_read), None)


def _finish(pending: PendingImport, report: ImportReport, rejected: BinaryIO) -> None:
    is_check = pending.state == PendingImport.State.CHECKING
    pending.state = PendingImport.State.CHECKED if is_check else PendingImport.State.DONE
    pending.key_import, pending.lines = report.key_import, report.lines
    pending.report = report.as_dict() if pending.request else _report_of(pending, report)
    pending.parts.filter(kind=PendingImportPart.Kind.REJECTED).delete()
    if report.rejected:
        _store_rejected(pending, rejected)
    if pending.request or not is_check:
        pending.parts.filter(kind=PendingImportPart.Kind.GIVEN).delete()
    pending.save(update_fields=["state", "key_import", "lines", "report", "updated"])


def _store_rejected(pending: PendingImport, rejected: BinaryIO) -> None:
    rejected.seek(0)
    pending.write_file(PendingImportPart.Kind.REJECTED, iter(lambda: rejected.read(PART_BYTES), b""))


def _report_of(pending: PendingImport, report: ImportReport) -> dict[str, Any]:
    """The report for the page of the console."""
    names = [file["name"] for file in pending.given_files]
    understood = [
        {
            **each.as_dict(),
            "name": name,
            "columns": [list(column) for column in each.columns],
            "column_number": each.column_number,
        }
        for name, each in zip(names, report.understood, strict=True)
    ]
    several = len(names) > 1

    def name_of(file: int) -> str:
        return (names[file] or "pasted keys") if several else ""

    return {
        "understood": understood,
        "lines": report.lines,
        "blank": report.blank,
        "trimmed": report.trimmed,
        "good": report.good,
        "added": report.added,
        "used": report.used,
        "rejected": report.rejected,
        "already_imported": report.already_imported,
        "warnings": [{**each.as_dict(), "file": name_of(each.file)} for each in report.warnings],
        "reasons": [[reason.code, count] for reason, count in report.reasons.most_common()],
        "first": report.first_keys,
        "last": [key for key in report.last_keys if key not in report.first_keys],
        "first_rejected": [
            [each.line, each.reason.code, each.detail, each.text, name_of(each.file)]
            for each in report.first[:MAX_SHOWN_REJECTIONS]
        ],
    }


def fail(pending: PendingImport, error: DomainError) -> None:
    """Store the error of a pending import that added nothing.

    The files of the console are kept, so that they can be checked again with other options.
    """
    pending.state, pending.problem, pending.report = PendingImport.State.FAILED, error.detail[:2000], {}
    if pending.failed_file is not None:
        name = pending.given_files[pending.failed_file]["name"] or "Pasted keys"
        pending.problem = f"{name}: {error.detail}"[:2000]
        pending.report = {"file": pending.failed_file}
    if pending.request:
        pending.report = dict(error.meta)
        pending.error = {"status": str(error.status), "title": error.title, "detail": error.detail, "code": error.code}
    elif isinstance(error, ColumnAmbiguous):
        pending.report = {"question": {**error.meta, "file": pending.failed_file or 0}}
    with suppress(ClaimLost), pending.finishing():
        kinds = [PendingImportPart.Kind.REJECTED, *([PendingImportPart.Kind.GIVEN] if pending.request else [])]
        pending.parts.filter(kind__in=kinds).delete()
        pending.save(update_fields=["state", "problem", "report", "error", "updated"])
