"""Importing an account from an export of keygen-api: staged, checked, and written in one transaction, or not at all."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from accounts.audit import AuditContext
from accounts.models import Account, Setting
from keygen_site.api_versions import CURRENT_VERSION, VERSIONS
from keygen_site.db.advisory_locks import disable_timeouts
from keygen_site.db.fields import mask_key
from keygen_site.db.uuids import parse_uuid
from keygen_site.wording import count_of
from licensing.models.policies import check_in_errors
from pools.key_files import KeyFile, escape_text, find_text_fault
from pools.models import Move
from pools.moving.account_keys import KEY_COLUMNS, read_key_pair
from pools.moving.checks import check_rows, find_lost_tokens, find_uncertain, leave_out_keys, leave_out_tokens
from pools.moving.classes import ACCOUNT, BY_NAME, ROLE, ROLE_PERMISSION, ExportClass, role_id
from pools.moving.completeness import Completeness
from pools.moving.errors import AccountExists, MoveRefused, RowInvalid
from pools.moving.format import Chunk, ExportReader, Row
from pools.moving.publishing import write_account, write_rows
from pools.moving.replacing import account_state, check_replaceable, delete_account
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import ClassStage, RoleStage, Stage, row_invalid
from pools.moving.token_table import TOKEN, TokenStage, stage_tokens
from pools.moving.used_digests import refuse_unmarked, stage_used_digests
from pools.moving.used_keys import make_used_stage, stage_used_keys
from pools.moving.values import ValueInvalid, converter_of
from pools.services.import_chunks import prefetch
from pools.services.table_statistics import refresh_statistics_after

NOT_KEPT = "is not kept by this server"
READ_OVER = "is not needed: this server has the standard permissions of each role"
NO_TOKENS = (
    "none moves in, so programs that use tokens stop working: give the table of tokens with --tokens or, if there are "
    "none, say --without-tokens"
)
_FIRST_CLASS = "Account"


class _Part(NamedTuple):
    """The checked rows of a chunk, ready to be staged."""

    stage: Stage
    rows: list[list[Any]]
    position: int


class _Stages:
    """The temporary tables of an import.

    Attributes:
        is_own: whether the export is one of this software, and not of keygen-api.
    """

    is_own = False

    def __init__(self) -> None:
        self.classes = {name: ClassStage(each) for name, each in BY_NAME.items() if each is not ACCOUNT}
        self.roles, self.tokens, self.used = RoleStage(), TokenStage(), make_used_stage()

    def analyze(self) -> None:
        for stage in (*self.classes.values(), self.roles, self.tokens, self.used):
            stage.analyze()


def import_account(
    *,
    export: BinaryIO,
    audit: AuditContext,
    secret: str | None = None,
    tokens: BinaryIO | None = None,
    used_keys: Iterable[KeyFile] = (),
    used_digests: BinaryIO | None = None,
    accept_warnings: bool = False,
    accept_unmarked: bool = False,
    without_tokens: bool = False,
    slug: str | None = None,
    sha256: str | None = None,
    source: str = "",
    dry_run: bool = False,
    on_finding: Callable[[Finding], None] = lambda finding: None,
    on_progress: Callable[[int], None] = lambda position: None,
) -> MoveReport:
    """Import an account from an export, in one pass and in flat memory.

    An account that moved in before is replaced, unless it was used since.

    Args:
        export: the file, which need not be seekable.
        secret: with which the export is encrypted.
        tokens: the table of tokens, as CSV.
        used_keys: files of keys that were popped without a license.
        used_digests: the file of used texts of which only digests are known, if the export is one from here.
        accept_warnings: read used keys even if some lines are almost certainly none.
        accept_unmarked: import an export from here even if not all of its used keys can be marked.
        without_tokens: replace an account that has tokens by one that has none.
        slug: another one than the export has.
        sha256: of the file, in hex, as its export has printed it.
        source: the name of the export, for the report.
        dry_run: check everything and write nothing.
        on_finding: is called with each row that needs a person's eye.
        on_progress: is called with the number of bytes of the export that have been read.

    Raises:
        ExportUnreadable: the file is no export, or is damaged.
        MoveRefused: a subclass names the contradiction.
        FileUnreadable, NoKeys: of the used keys.
    """
    report = MoveReport(source=source, dry_run=dry_run, on_finding=on_finding)
    reader = ExportReader(export, secret)
    digest = hashlib.sha256((slug or "").encode())
    with _staging_transaction():
        stages = _Stages()
        completeness = Completeness()
        row = _stage_export(reader, stages, completeness, report, on_progress)
        completeness.check(sha256, reader.sha256, report)
        account = _read_account(row, slug, report)
        if tokens is not None:
            stage_tokens(tokens, stages.tokens, account.pk, report, digest.update)
        if not report.count_of(TOKEN).read and not without_tokens:
            report.find(Finding(TOKEN, "", "", NO_TOKENS, False))
        stage_used_keys(used_keys, stages.used, report, digest.update, accept_warnings=accept_warnings)
        if used_digests is not None:
            stage_used_digests(
                used_digests, stages.used, account.pk, report, digest.update, accept_unmarked=accept_unmarked
            )
        elif stages.is_own and not accept_unmarked:
            refuse_unmarked()
        report.sha256 = reader.sha256
        digest.update(reader.content_sha256)
        stages.analyze()
        check_rows(stages.classes, stages.roles, account.pk)
        leave_out_keys(stages.classes, stages.used, account.pk, report)
        leave_out_tokens(stages.classes, stages.tokens, report)
        find_uncertain(stages.classes, report)
        with nullcontext() if dry_run else transaction.atomic(), _constraints_as_refusals():
            _make_way(account, digest.digest(), stages, report, without_tokens=without_tokens)
            if not dry_run:
                _write(account, row, stages, digest.digest(), report, audit)
    return report


@contextmanager
def _staging_transaction() -> Iterator[None]:
    """On PostgreSQL, one transaction for everything: a pool of connections could give the next one another session.

    SQLite has temporary tables without one, and a transaction would keep others from writing.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        disable_timeouts()
        yield


@contextmanager
def _constraints_as_refusals() -> Iterator[None]:
    """Turn a violated constraint, which the checks missed, into a refusal whose text has no values of rows."""
    try:
        yield
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        name = diagnosis.constraint_name or diagnosis.column_name if diagnosis else str(error).split(": ")[-1]
        raise MoveRefused(
            f"The database refuses the account, by the rule {name}: perhaps another import of it runs"
        ) from None


def _stage_export(
    reader: ExportReader,
    stages: _Stages,
    completeness: Completeness,
    report: MoveReport,
    on_progress: Callable[[int], None],
) -> Row:
    """Stage the rows of an export, and return that of the account."""
    chunks = iter(reader)
    first = next(chunks)
    account = first.rows[0]
    report.account_id = _read_id(account)
    report.count_of(_FIRST_CLASS).read = 1
    _note_unkept(ACCOUNT, first.rows, report)

    def check(chunk: Chunk) -> _Part:
        completeness.add(chunk.class_name, chunk.rows)
        return _check_chunk(chunk, stages, report, reader.position, is_protected=bool(account.get("protected")))

    for part in prefetch(map(check, chunks)):
        part.stage.write(part.rows)
        on_progress(part.position)
    for (class_name, column), count in report.unkept_columns.items():
        verb = "has" if count == 1 else "have"
        problem = f"is not kept by this server: {count_of(count, 'row')} {verb} a value"
        report.find(Finding(class_name, "", column, problem, True))
    on_progress(reader.position)
    return account


def _read_id(account: Row) -> UUID:
    uuid = parse_uuid(account.get("id"))
    if uuid is None:
        raise RowInvalid("The account of the export has no valid id. The file is damaged, or no export: export again")
    return uuid


def _check_chunk(chunk: Chunk, stages: _Stages, report: MoveReport, position: int, *, is_protected: bool) -> _Part:
    """Check the rows of a chunk, without the database.

    Args:
        position: of the reader.
        is_protected: whether the account is protected.
    """
    class_name, rows, _ = chunk
    count = report.count_of(class_name)
    count.read += len(rows)
    account_id = str(report.account_id)
    stage = stages.classes.get(class_name)
    # Permissions of roles name no account, and nor may rows of classes that are not kept.
    unnamed = None if stage or class_name == ROLE else account_id
    for row in rows:
        if row.get("account_id", unnamed) != account_id:
            raise row_invalid(class_name, row, "account_id", "must be the id of the account of the export")
    if class_name == ROLE:
        stages.is_own = stages.is_own or any(map(_is_own_role, rows))
        return _Part(stages.roles, stages.roles.encode(rows), position)
    if stage is None:
        count.left_out[READ_OVER if class_name == ROLE_PERMISSION else NOT_KEPT] += len(rows)
        return _Part(stages.roles, [], position)
    if class_name == "Policy":
        rows = [_check_policy(row, is_protected=is_protected) for row in rows]
    if class_name == "AccountSetting":
        rows = [row for row in rows if _is_known_setting(row, report)]
    if class_name == "Key":
        rows = [row for row in rows if _can_be_key(row, report)]
    _note_unkept(stage.export_class, rows, report)
    return _Part(stage, stage.encode(rows), position)


def _check_policy(row: Row, *, is_protected: bool) -> Row:
    """The row of a policy, whose licenses can be validated.

    Raises:
        RowInvalid: the policy requires check-ins, but does not say when.
    """
    if row.get("require_check_in") is True:
        interval, count = row.get("check_in_interval"), row.get("check_in_interval_count")
        for column, problem in check_in_errors(interval, count if type(count) is int else None):
            raise row_invalid("Policy", row, column, f"{problem}, for the policy requires check-ins")
    # Null there is the account's value; here it is copied to a new policy.
    return row if row.get("protected") is not None else {**row, "protected": is_protected}


def _is_own_role(row: Row) -> bool:
    resource_id = parse_uuid(row.get("resource_id"))
    return resource_id is not None and row.get("id") == str(role_id(resource_id))


def _can_be_key(row: Row, report: MoveReport) -> bool:
    """Whether `import_keys` accepts the text. The stage refuses values that the database cannot store as text."""
    text = row.get("key")
    if not isinstance(text, str) or "\0" in text or not (fault := find_text_fault(text)):
        return True
    reason = f"the key {fault.reason.value}"
    label = escape_text(mask_key(text))
    report.leave_out(Finding("Key", str(parse_uuid(row.get("id")) or ""), label, reason, False), reason)
    return False


def _is_known_setting(row: Row, report: MoveReport) -> bool:
    setting = Setting(key=str(row.get("key")), value=row.get("value"))
    if setting.key in Setting.Key.values and setting.value_error() is None:
        return True
    reason = "has a key or permissions that this server does not know"
    label = setting.key if setting.key in Setting.Key.values else ""
    report.leave_out(Finding("AccountSetting", str(parse_uuid(row.get("id")) or ""), label, reason, False), reason)
    return False


def _note_unkept(export_class: ExportClass, rows: list[Row], report: MoveReport) -> None:
    """Count the values of columns that have no field here and that matter."""
    for name, usual in export_class.noted.items():
        count = sum(row.get(name, usual) != usual for row in rows)
        if count:
            report.unkept_columns[export_class.name, name] += count


def _read_account(row: Row, slug: str | None, report: MoveReport) -> Account:
    """The unsaved account of an export, checked with its keys."""
    column = ""
    try:
        values = ACCOUNT.read(row)
        for name, field in zip((each.name for each in ACCOUNT.columns), ACCOUNT.fields, strict=True):
            column = name
            if field.attname not in values:
                raise ValueInvalid("must not be null")
            converter_of(field)(values[field.attname])
        column = "secret_key"
        if not isinstance(row.get("secret_key"), str) or not row["secret_key"]:
            raise ValueInvalid("must be a text")
    except ValueInvalid as problem:
        raise row_invalid(_FIRST_CLASS, row, column, problem) from None
    try:
        for kind in KEY_COLUMNS:
            read_key_pair(kind, row)
    except ValueError as problem:
        raise RowInvalid(
            f"The account of the export has no usable keys: its columns {problem}. The file is damaged: export again"
        ) from None
    account = Account(**values)
    if slug is not None:
        account.slug = slug
    if account.api_version not in VERSIONS:
        change = f"has the API version {account.api_version}, and gets {CURRENT_VERSION}"
        report.find(Finding(_FIRST_CLASS, str(account.pk), account.slug, change, True))
        account.api_version = CURRENT_VERSION
    other = Account.objects.filter(slug=account.slug).exclude(pk=account.pk).first()
    if other is not None:
        raise AccountExists(
            f"Another account of this server has the slug {account.slug}: choose another one with --slug"
        )
    try:
        account.clean_fields()
        account.clean()
    except ValidationError as error:
        name, [message, *_] = next(iter(error.message_dict.items()))
        way_out = ": choose another one with --slug" if name == "slug" else ""
        raise RowInvalid(f"The {name} of the account {message}{way_out}") from None
    report.slug = account.slug
    return account


def _make_way(
    account: Account, content_digest: bytes, stages: _Stages, report: MoveReport, *, without_tokens: bool
) -> None:
    """Delete the account if it moved in before and can be replaced; in a dry run, only check that."""
    existing = Account.objects.filter(pk=account.pk).first()
    if existing is None:
        return
    check_replaceable(existing, content_digest)
    find_lost_tokens(stages.tokens, account.pk, report, without_tokens=without_tokens)
    report.replaced = True
    if not report.dry_run:
        delete_account(existing)


def _write(
    account: Account,
    row: Mapping[str, Any],
    stages: _Stages,
    content_digest: bytes,
    report: MoveReport,
    audit: AuditContext,
) -> None:
    write_account(account, dict(row), audit, has_tokens=report.count_of(TOKEN).kept > 0)
    write_rows(stages.classes, stages.roles, stages.tokens, stages.used, account, audit)
    Move.objects.create(
        account=account,
        source=report.source[:255],
        operator=audit.actor,
        sha256=report.sha256,
        content_digest=content_digest,
        summary=report.summary,
        findings=[each.as_dict() for each in report.findings],
        findings_count=report.findings_count,
        state=account_state(account),
    )
    refresh_statistics_after(report.count_of("Key").kept)
