"""Files of keys that operators give the console: kept, looked at, imported, with progress that others can see."""

import csv
import io
import threading
from contextlib import contextmanager, suppress
from itertools import chain, islice
from tempfile import TemporaryFile

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.fields import mask_key
from keygen_site.jsonapi.errors import DomainError
from pools.key_files import FileTooLarge, format_of, read_keys
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import KEPT, PART
from pools.services.imports import ImportRejected, stage_import

AT_ONCE = 1 << 20  # bytes that are worked on while the operator's browser waits
FIRST_KEYS, FIRST_REJECTED = 5, 100  # that a page shows
BEAT = 1.0  # seconds


@transaction.atomic
def keep_upload(*, policy, operator, blocks, source="", format="", **fields):
    """Keep a file that an operator gave, and forget those of last week.

    Args:
        blocks: its bytes, PART at most at a time.
        source: its name, which says its format where none is given.

    Raises:
        FileTooLarge: it has more bytes than the setting MAX_IMPORT_BYTES.
    """
    PendingImport.objects.filter(created__lt=timezone.now() - KEPT).delete()
    upload = PendingImport.objects.create(
        account=policy.account,
        policy=policy,
        operator=operator,
        source=source[:255],
        format=format or format_of(source),
        **fields,
    )
    upload.size = upload.write(PendingImportPart.Kind.GIVEN, _bounded(blocks))
    upload.save(update_fields=["size"])
    return upload


def check_upload(upload):
    """Look at a file without writing anything, unless somebody does so already."""
    if upload.claim(PendingImport.State.CHECKING):
        _work(upload, dry_run=True)


def import_upload(upload, *, skip_invalid):
    """Import a file that was looked at, once, however often this is said."""
    if upload.claim(PendingImport.State.IMPORTING, skip_invalid=skip_invalid):
        _work(upload, dry_run=False)


def resume_upload(upload):
    """Go on with a file whose process is gone: nothing of it was added, or all."""
    if upload.state == PendingImport.State.CHECKING:
        check_upload(upload)
    else:
        import_upload(upload, skip_invalid=upload.skip_invalid)


def _bounded(blocks):
    size = 0
    for block in blocks:
        size += len(block)
        if size > settings.MAX_IMPORT_BYTES:
            raise FileTooLarge
        yield block


def _work(upload, dry_run):
    if upload.size <= AT_ONCE:
        _run(upload, dry_run)
    else:
        # It ends with the process; what it had not finished is then offered to be begun again.
        thread = threading.Thread(target=_run_beside, args=(upload, dry_run), name=f"upload {upload.pk}", daemon=True)
        transaction.on_commit(thread.start)


def _run_beside(upload, dry_run):
    try:
        with _beating(upload):
            _run(upload, dry_run)
    finally:
        connection.close()


def _run(upload, dry_run):
    finished = False
    try:
        with upload.opened() as given, TemporaryFile() as rejected:
            _import(upload, io.BufferedReader(given), rejected, dry_run)
        finished = True
    except DomainError as error:
        finished = True
        _fail(upload, error.detail)
    finally:
        if not finished:
            _fail(upload, "Something went wrong on the server; its log says what. Nothing was added.")


def _import(upload, file, rejected, dry_run):
    text = io.TextIOWrapper(rejected, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["line", "reason", "text"])

    def on_rejected(some):
        rows.writerows([each.line, f"The key {each.reason.value}", each.text] for each in some)

    def on_progress(report):
        upload.lines = report.lines

    lines = read_keys(file, upload.format, upload.column or None, settings.MAX_IMPORT_BYTES)
    ahead = list(islice(lines, 1000))
    first = [mask_key(line.text) for line in ahead if line.text and not line.reason][:FIRST_KEYS]
    keys = stage_import(
        policy=upload.policy,
        files=[chain(ahead, lines)],
        audit=AuditContext(operator=upload.operator, request_id=str(upload.pk)),
        name=upload.name,
        source=upload.source,
        skip_invalid=upload.skip_invalid,
        dry_run=dry_run,
        on_rejected=on_rejected,
        on_progress=on_progress,
    )
    with keys as unpublished:
        if dry_run:
            with suppress(ImportRejected):
                unpublished.publish()
        else:
            # What the page says and what is in the pool become true in one moment.
            with transaction.atomic():
                unpublished.publish()
                _finish(upload, unpublished.report, rejected, first, dry_run)
    if dry_run:
        with transaction.atomic():
            _finish(upload, unpublished.report, rejected, first, dry_run)


def _finish(upload, report, rejected, first, dry_run):
    upload.state = PendingImport.State.CHECKED if dry_run else PendingImport.State.DONE
    upload.key_import = report.key_import
    upload.lines = report.lines
    upload.report = {
        "lines": report.lines,
        "blank": report.blank,
        "good": report.good,
        "added": report.added,
        "rejected": report.rejected,
        "nothing_new": report.nothing_new,
        "reasons": [[f"The key {reason.value}", count] for reason, count in report.reasons.most_common()],
        "first": first,
        "first_rejected": [
            [each.line, f"The key {each.reason.value}", mask_key(each.text) if len(each.text) > 7 else each.text]
            for each in report.first[:FIRST_REJECTED]
        ],
    }
    upload.parts.filter(kind=PendingImportPart.Kind.REJECTED).delete()
    if report.rejected:
        rejected.seek(0)
        upload.write(PendingImportPart.Kind.REJECTED, iter(lambda: rejected.read(PART), b""))
    if not dry_run:
        upload.parts.filter(kind=PendingImportPart.Kind.GIVEN).delete()
    upload.save()


def _fail(upload, detail):
    upload.state, upload.problem = PendingImport.State.FAILED, detail[:500]
    upload.parts.all().delete()
    upload.save(update_fields=["state", "problem", "updated"])


@contextmanager
def _beating(upload):
    """Say each second that somebody works on an upload, and how far they are.

    In a thread of its own, for the import is one long transaction that nobody sees into.
    """
    over = threading.Event()

    def beat():
        try:
            while not over.wait(BEAT):
                with suppress(OperationalError):  # it is being finished, or the database is busy: the next one will do
                    PendingImport.objects.filter(pk=upload.pk, state__in=PendingImport.WORKING).update(
                        alive=timezone.now(), lines=upload.lines
                    )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
