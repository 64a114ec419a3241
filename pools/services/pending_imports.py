"""Imports in the console: files are stored, checked, and imported after confirmation, with progress for the page."""

import csv
import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import User
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy
from pools.key_files import ColumnAmbiguous, FileTooLarge, ReadOptions, UsedRows, open_key_file
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PART_BYTES, PENDING_IMPORT_LIFETIME
from pools.services.imports import ImportRefused, ImportReport, stage_import
from pools.services.rejections import REJECTED_COLUMNS, Rejection, rejected_row

MAX_FOREGROUND_BYTES = 1 << 20  # a larger file is imported in a thread, after the response
MAX_SHOWN_REJECTIONS = 100
HEARTBEAT_SECONDS = 1.0
DEFAULT_OPTIONS = ReadOptions()


@transaction.atomic
def create_pending_import(
    *,
    policy: Policy,
    operator: User,
    blocks: Iterable[bytes],
    source: str = "",
    name: str = "",
    options: ReadOptions = DEFAULT_OPTIONS,
) -> PendingImport:
    """Store an operator's file, and delete the files older than PENDING_IMPORT_LIFETIME.

    Args:
        blocks: the bytes of the file, in blocks of at most PART_BYTES.
        source: the name of the file; empty for pasted text.

    Raises:
        FileTooLarge: it has more bytes than the setting MAX_IMPORT_BYTES.
    """
    PendingImport.objects.filter(created__lt=timezone.now() - PENDING_IMPORT_LIFETIME).delete()
    pending = PendingImport.objects.create(
        account=policy.account,
        policy=policy,
        operator=operator.email,
        operator_id=operator.pk,
        source=source[:255],
        name=name,
        **_fields_of(options),
    )
    pending.size = pending.write_file(PendingImportPart.Kind.GIVEN, _limit_size(blocks))
    pending.save(update_fields=["size"])
    return pending


def options_of(pending: PendingImport) -> ReadOptions:
    """How the file of a pending import is read."""
    options = pending.options
    if "used_rows" in options:
        options = options | {"used_rows": UsedRows(options["used_rows"])}
    return ReadOptions(format=pending.format or None, column=pending.column or None, **options)


def _fields_of(options: ReadOptions) -> dict[str, Any]:
    """The fields of a pending import that keep its options: those with a value of their own."""
    values = {name: value for name, value in asdict(options).items() if value != getattr(DEFAULT_OPTIONS, name)}
    return {"format": values.pop("format", ""), "column": values.pop("column", ""), "options": values}


def check_pending_import(pending: PendingImport, options: ReadOptions | None = None) -> None:
    """Check a file without adding anything, unless another process does so already.

    Args:
        options: replace those of the pending import.
    """
    if pending.start(PendingImport.State.CHECKING, **(_fields_of(options) if options else {})):
        _work(pending, dry_run=True)


def run_pending_import(
    pending: PendingImport, *, skip_invalid: bool, accept_warnings: bool = False, seen: datetime | None = None
) -> None:
    """Import a checked file, once, however often this is called.

    Args:
        seen: the time of the check that the operator has confirmed. After a later check nothing is imported.
    """
    confirmed = {"skip_invalid": skip_invalid, "accept_warnings": accept_warnings}
    if pending.start(PendingImport.State.IMPORTING, seen=seen, **confirmed):
        _work(pending, dry_run=False)


def resume_pending_import(pending: PendingImport) -> None:
    """Start over with a file whose process has ended; it has added nothing."""
    if pending.state == PendingImport.State.CHECKING:
        check_pending_import(pending)
    else:
        run_pending_import(
            pending, skip_invalid=pending.skip_invalid, accept_warnings=pending.accept_warnings, seen=pending.updated
        )


def _limit_size(blocks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > settings.MAX_IMPORT_BYTES:
            raise FileTooLarge
        yield block


def _work(pending: PendingImport, dry_run: bool) -> None:
    if pending.size <= MAX_FOREGROUND_BYTES:
        _process(pending, dry_run)
    else:
        # The thread ends with the process. The console then offers to resume an unfinished import.
        name = f"pending import {pending.pk}"
        thread = threading.Thread(target=_process_in_thread, args=(pending, dry_run), name=name, daemon=True)
        transaction.on_commit(thread.start)


def _process_in_thread(pending: PendingImport, dry_run: bool) -> None:
    try:
        with _heartbeat(pending):
            _process(pending, dry_run)
    finally:
        connection.close()


def _process(pending: PendingImport, dry_run: bool) -> None:
    problem = "Something went wrong on the server; its log says what. Nothing was added."
    report: dict[str, Any] = {}
    try:
        with pending.open_file() as given, TemporaryFile() as rejected:
            _import(pending, given, rejected, dry_run)
        problem = ""
    except DomainError as error:
        problem = error.detail
        if isinstance(error, ColumnAmbiguous):
            report = {"question": dict(error.meta)}
    finally:
        if problem:
            _fail(pending, problem, report)


def _import(pending: PendingImport, given: BinaryIO, rejected: BinaryIO, dry_run: bool) -> None:
    text = io.TextIOWrapper(rejected, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(REJECTED_COLUMNS[1:])

    def on_rejected(rejections: list[Rejection]) -> None:
        rows.writerows(rejected_row(each, "")[1:] for each in rejections)

    def on_progress(report: ImportReport) -> None:
        pending.lines = report.lines

    file = open_key_file(given, options_of(pending), name=pending.source, max_bytes=settings.MAX_IMPORT_BYTES)
    staged_import = stage_import(
        policy=pending.policy,
        files=[file],
        audit=AuditContext(operator=pending.operator, operator_id=pending.operator_id, request_id=str(pending.pk)),
        name=pending.name,
        source=pending.source,
        skip_invalid=pending.skip_invalid,
        dry_run=dry_run,
        accept_warnings=pending.accept_warnings,
        on_rejected=on_rejected,
        on_progress=on_progress,
    )
    with staged_import as staged:
        if dry_run:
            with suppress(ImportRefused):  # the page shows the report
                staged.publish()
        else:
            # One transaction, so that the page and the pool always agree.
            with transaction.atomic():
                staged.publish()
                _finish(pending, staged.report, rejected, dry_run)
    if dry_run:
        with transaction.atomic():
            _finish(pending, staged.report, rejected, dry_run)


def _finish(pending: PendingImport, report: ImportReport, rejected: BinaryIO, dry_run: bool) -> None:
    pending.state = PendingImport.State.CHECKED if dry_run else PendingImport.State.DONE
    pending.key_import = report.key_import
    pending.lines = report.lines
    pending.report = {
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
    pending.parts.filter(kind=PendingImportPart.Kind.REJECTED).delete()
    if report.rejected:
        rejected.seek(0)
        pending.write_file(PendingImportPart.Kind.REJECTED, iter(lambda: rejected.read(PART_BYTES), b""))
    if not dry_run:
        pending.parts.filter(kind=PendingImportPart.Kind.GIVEN).delete()
    pending.save()


def _fail(pending: PendingImport, problem: str, report: dict[str, Any]) -> None:
    """Note why nothing was added. The file is kept, so that it can be checked again with other options."""
    pending.state, pending.problem, pending.report = PendingImport.State.FAILED, problem[:2000], report
    pending.parts.filter(kind=PendingImportPart.Kind.REJECTED).delete()
    pending.save(update_fields=["state", "problem", "report", "updated"])


@contextmanager
def _heartbeat(pending: PendingImport) -> Iterator[None]:
    """Update `alive` and `lines` each second, from a thread: the import itself is one long transaction."""
    stopped = threading.Event()

    def beat() -> None:
        try:
            while not stopped.wait(HEARTBEAT_SECONDS):
                with suppress(OperationalError):  # the row is locked or the database is busy: the next beat will do
                    PendingImport.objects.filter(pk=pending.pk, state__in=PendingImport.WORKING).update(
                        alive=timezone.now(), lines=pending.lines
                    )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
