"""Files of keys that are stored before they are imported: uploads in the console, and large files of the API."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import User
from keygen_site.db.advisory_locks import lock_pending_imports
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy, PoolNotSupported
from pools.import_locks import ImportBusy, request_place
from pools.key_files import FileTooLarge, ReadOptions
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PENDING_IMPORT_LIFETIME
from pools.services.import_processing import process
from pools.services.import_workers import start_worker

MAX_KEPT_IMPORTS = 100  # of an account, without those that are worked on; the oldest are deleted
RECEIVED_WITHIN = timedelta(hours=1)  # the longest time in which a file is stored
DEFAULT_OPTIONS = ReadOptions()


class TooManyImports(DomainError):
    """As many files of the account wait for an import as the setting MAX_WAITING_IMPORTS permits."""

    status = 503
    title = "Service unavailable"
    code = "TOO_MANY_IMPORTS"
    headers = {"Retry-After": "30"}

    def __init__(self) -> None:
        super().__init__(
            f"{settings.MAX_WAITING_IMPORTS} files of this account are waiting to be imported already. Please send "
            "this one again when one of them is done"
        )


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
        TooManyImports: too many files of the account wait for an import.
    """
    author = {"operator": operator.email, "operator_id": operator.pk}
    return _store(policy, blocks, source=source[:255], name=name, **author, **_fields_of(options))


def create_api_import(
    *,
    policy: Policy,
    audit: AuditContext,
    blocks: Iterable[bytes],
    name: str = "",
    options: ReadOptions = DEFAULT_OPTIONS,
    used: datetime | None = None,
    media_type: str = "",
    charset: str = "",
    dry_run: bool = False,
    **choices: bool,
) -> PendingImport:
    """Store the file of a request. `run_api_import` has it imported.

    Args:
        blocks, options: as for `create_pending_import`.
        used, dry_run: as for `stage_import`.
        media_type, charset: as the request declares them.
        choices: `skip_invalid` and `accept_warnings`, as for `stage_import`.

    Raises:
        FileTooLarge, TooManyImports: as in `create_pending_import`.
        PoolNotSupported: the policy has no pool.
    """
    if not policy.use_pool:
        raise PoolNotSupported
    author = {name: str(value) if value else "" for name, value in audit.as_dict().items()}
    request = {
        "audit": author,
        "dry_run": dry_run,
        "used": used.isoformat() if used else "",
        "media_type": media_type,
        "charset": charset,
    }
    bearer = {"bearer_type": audit.bearer_type, "bearer_id": audit.bearer_id}
    return _store(policy, blocks, name=name, request=request, **bearer, **choices, **_fields_of(options))


def run_api_import(pending: PendingImport) -> None:
    """Let a worker import the stored file of a request, or check it in a dry run, with the caller's transaction."""
    is_dry_run = pending.request["dry_run"]
    pending.state = PendingImport.State.CHECKING if is_dry_run else PendingImport.State.IMPORTING
    pending.queued = timezone.now()
    pending.save(update_fields=["state", "queued"])
    transaction.on_commit(start_worker)


def check_pending_import(pending: PendingImport, options: ReadOptions | None = None) -> None:
    """Check a file without adding anything, unless another process does so already.

    Args:
        options: replace those of the pending import.
    """
    if pending.start(PendingImport.State.CHECKING, **(_fields_of(options) if options else {})):
        _work(pending)


def run_pending_import(
    pending: PendingImport, *, skip_invalid: bool, accept_warnings: bool = False, seen: datetime | None = None
) -> None:
    """Import a checked file, once, however often this is called.

    Args:
        seen: the time of the check that the operator has confirmed. After a later check nothing is imported.
    """
    confirmed = {"skip_invalid": skip_invalid, "accept_warnings": accept_warnings}
    if pending.start(PendingImport.State.IMPORTING, seen=seen, **confirmed):
        _work(pending)


def resume_pending_import(pending: PendingImport) -> None:
    """Start over with a file whose process has ended; it has added nothing."""
    if pending.state == PendingImport.State.CHECKING:
        check_pending_import(pending)
    else:
        run_pending_import(
            pending, skip_invalid=pending.skip_invalid, accept_warnings=pending.accept_warnings, seen=pending.updated
        )


def _work(pending: PendingImport) -> None:
    """Do a small file within the request if a place is free, and leave any other to a worker."""
    if pending.size <= settings.MAX_DIRECT_IMPORT_BYTES:
        try:
            with request_place():
                process(pending, in_request=True)
        except (ImportBusy, FileTooLarge):
            pass
        else:
            return
    pending.enqueue()
    transaction.on_commit(start_worker)


def _store(policy: Policy, blocks: Iterable[bytes], **values: Any) -> PendingImport:
    """Store a file, in transactions of one part each: on SQLite a longer one would keep all others from writing."""
    PendingImport.objects.filter(created__lt=timezone.now() - PENDING_IMPORT_LIFETIME).delete()
    of_account = PendingImport.objects.filter(account=policy.account_id)
    unfinished = of_account.unfinished()
    with transaction.atomic():
        lock_pending_imports(policy.account_id)
        receiving = of_account.filter(state=PendingImport.State.RECEIVED, created__gt=timezone.now() - RECEIVED_WITHIN)
        if unfinished.count() + receiving.count() >= settings.MAX_WAITING_IMPORTS:
            raise TooManyImports
        pending = PendingImport.objects.create(account=policy.account, policy=policy, **values)
    old = of_account.exclude(state__in=PendingImport.WORKING).order_by("-id")[MAX_KEPT_IMPORTS:]
    PendingImport.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    try:
        pending.size = pending.write_file(PendingImportPart.Kind.GIVEN, _limit_size(blocks))
        pending.save(update_fields=["size"])
    except BaseException:
        pending.delete()
        raise
    return pending


def _fields_of(options: ReadOptions) -> dict[str, Any]:
    """The fields of a pending import that keep its options: those with a value of their own."""
    values = {name: value for name, value in asdict(options).items() if value != getattr(DEFAULT_OPTIONS, name)}
    return {"format": values.pop("format", ""), "column": values.pop("column", ""), "options": values}


def _limit_size(blocks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > settings.MAX_IMPORT_BYTES:
            raise FileTooLarge
        yield block
