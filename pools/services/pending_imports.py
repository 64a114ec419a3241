"""Files of keys that are stored before they are imported: files of the console, and large files of the API."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import User
from keygen_site.db.advisory_locks import lock_pending_imports
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from licensing.models import Policy, PoolNotSupported
from pools.import_locks import ImportBusy, request_place
from pools.key_files import FileTooLarge, ReadOptions
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PENDING_IMPORT_LIFETIME
from pools.services.import_processing import options_of, process
from pools.services.import_workers import start_worker

MAX_KEPT_IMPORTS = 100  # of an account, without those that are worked on; the oldest are deleted
MAX_FILES = 20  # of one import
RECEIVED_WITHIN = timedelta(hours=1)  # the longest time in which a file is stored
DEFAULT_OPTIONS = ReadOptions()


class SentFile(NamedTuple):
    """A file as it was sent.

    Attributes:
        name: empty for pasted text.
        blocks: its bytes, in blocks of at most PART_BYTES.
    """

    name: str
    blocks: Iterable[bytes]


class TooManyImports(DomainError):
    """As many files of the account wait for an import as the setting MAX_WAITING_IMPORTS permits."""

    status = 503
    title = "Service unavailable"
    code = "TOO_MANY_IMPORTS"
    about = REFERENCE
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
    more_files: Sequence[SentFile] = (),
    name: str = "",
    options: ReadOptions = DEFAULT_OPTIONS,
) -> PendingImport:
    """Store an operator's files, and delete those older than PENDING_IMPORT_LIFETIME.

    Args:
        blocks, source: the bytes and the name of the file, as in `SentFile`.
        more_files: further files of the same import.

    Raises:
        FileTooLarge: they have more bytes than the setting MAX_IMPORT_BYTES.
        TooManyImports: too many files of the account wait for an import.
    """
    author = {"operator": operator.email, "operator_id": operator.pk}
    files = [SentFile(source, blocks), *more_files]
    names = ", ".join(file.name or "pasted keys" for file in files) if more_files else source
    return _store(policy, files, source=names[:255], name=name, **author, **_fields_of(options))


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
    values = {"bearer_type": audit.bearer_type, "bearer_id": audit.bearer_id, **choices, **_fields_of(options)}
    return _store(policy, [SentFile("", blocks)], name=name, request=request, **values)


def run_api_import(pending: PendingImport) -> None:
    """Let a worker import the stored file of a request, or check it in a dry run, with the caller's transaction."""
    is_dry_run = pending.request["dry_run"]
    pending.state = PendingImport.State.CHECKING if is_dry_run else PendingImport.State.IMPORTING
    pending.queued = timezone.now()
    pending.save(update_fields=["state", "queued"])
    transaction.on_commit(start_worker)


def check_pending_import(
    pending: PendingImport, options: ReadOptions | None = None, *, place: int | None = None
) -> None:
    """Check the files without adding anything, unless another process does so already.

    Args:
        options: replace those of the pending import.
        place: the file that they are about; None for all files. `trim` and `used_rows` are about all files anyhow.
    """
    changed: dict[str, Any] = {}
    if options and place is None:
        changed = _fields_of(options)
    elif options:
        of_file = {name: value for name, value in asdict(options).items() if name not in ("trim", "used_rows")}
        of_files = {**pending.options.get("files", {}), str(place): of_file}
        common = replace(options_of(pending), trim=options.trim, used_rows=options.used_rows)
        changed = _fields_of(common)
        changed["options"]["files"] = of_files
    if pending.start(PendingImport.State.CHECKING, **changed):
        _work(pending)


def discard_pending_import(pending: PendingImport) -> bool:
    """Delete a pending import that no process works on, with its files. Returns whether it was deleted."""
    with transaction.atomic():
        checkable = PendingImport.objects.filter(pk=pending.pk, state__in=PendingImport.CHECKABLE)
        locked = checkable.select_for_update().first()
        if locked is not None:
            locked.delete()
    return locked is not None


def delete_expired_imports() -> None:
    """Delete the imports of all accounts that are older than PENDING_IMPORT_LIFETIME, with the keys in their files."""
    PendingImport.objects.filter(created__lt=timezone.now() - PENDING_IMPORT_LIFETIME).delete()


def run_pending_import(
    pending: PendingImport,
    *,
    skip_invalid: bool,
    accept_warnings: bool = False,
    name: str | None = None,
    seen: datetime | None = None,
) -> None:
    """Import checked files, once, however often this is called.

    Args:
        name: the name of the import; None for the one that it has.
        seen: the time of the check that the operator has confirmed. After a later check nothing is imported.
    """
    confirmed: dict[str, Any] = {"skip_invalid": skip_invalid, "accept_warnings": accept_warnings}
    if name is not None:
        confirmed["name"] = name
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


def _store(policy: Policy, files: Sequence[SentFile], **values: Any) -> PendingImport:
    """Store files, in transactions of one part each: on SQLite a longer one would keep all others from writing."""
    delete_expired_imports()
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
        left, parts = settings.MAX_IMPORT_BYTES, 0
        for file in files:
            given = pending.write_file(PendingImportPart.Kind.GIVEN, _limit_size(file.blocks, left), parts)
            left -= given["size"]
            parts += given["parts"]
            pending.files.append({**given, "name": file.name})
        pending.size = settings.MAX_IMPORT_BYTES - left
        pending.save(update_fields=["size", "files"])
    except BaseException:
        pending.delete()
        raise
    return pending


def _fields_of(options: ReadOptions) -> dict[str, Any]:
    """The fields of a pending import that keep its options: those with a value of their own."""
    values = {name: value for name, value in asdict(options).items() if value != getattr(DEFAULT_OPTIONS, name)}
    return {"format": values.pop("format", ""), "column": values.pop("column", ""), "options": values}


def _limit_size(blocks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > max_bytes:
            raise FileTooLarge
        yield block
