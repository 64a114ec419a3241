"""Queries that check whether staged rows fit together, and fit the rows of the database.

Rows that contradict each other refuse the whole import. Keys that must not be handed out are left out and named.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import ForeignKey

from accounts.models import Token
from keygen_site.db.fields import mask_key
from keygen_site.db.uuids import parse_uuid
from keygen_site.encryption import decrypt_text
from keygen_site.wording import count_of
from pools.key_files import Reason
from pools.models import UsedText
from pools.models.keys import KEY_PURPOSE
from pools.moving.classes import BY_NAME
from pools.moving.errors import ExportIncomplete, RowsContradict, TokensMissing
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import IDENTIFIERS, ClassStage, Stage, uuid_value

# The values that are unique in a class, in SQL; ids are unique in all classes.
UNIQUE: dict[str, tuple[str, ...]] = {
    "User": ("email",),
    "GroupOwner": ("group_id, user_id",),
    "AccountSetting": ("key",),
    "Product": ("lower(code)",),
    "Entitlement": ("lower(code)",),
    "PolicyEntitlement": ("policy_id, entitlement_id",),
    "License": ("digest",),
    "LicenseUser": ("license_id, user_id",),
    "LicenseEntitlement": ("license_id, entitlement_id",),
    "Machine": ("license_id, digest",),
    "MachineComponent": ("machine_id, digest",),
    "MachineProcess": ("machine_id, digest",),
}
_NOUNS = {"digest": "key", "license_id, digest": "fingerprint", "machine_id, digest": "fingerprint or pid"}
_FETCHED_AT_ONCE = 1_000
_EXPORT_AGAIN = "The file is damaged, or the account changed meanwhile: export again"
_DELETED_MEANWHILE = "It may have been deleted meanwhile: stop keygen-api for clients, and export again"
_OTHER_SERVER = "Import the export into another server"
_CLASS_OF_MODEL = {each.model: each.name for each in BY_NAME.values()}


def check_rows(stages: dict[str, ClassStage], roles: Stage, account_id: UUID) -> None:
    """Refuse rows that contradict each other or the database.

    Args:
        stages: of all classes, by name.
        account_id: of the account that moves in. Its own rows in the database are no contradiction.

    Raises:
        RowsContradict: names the first such row.
    """
    for name, stage in stages.items():
        for columns in ("id", *UNIQUE.get(name, ())):
            _refuse_duplicates(name, stage, columns)
        _refuse_dangling(name, stage, stages)
        _refuse_taken_ids(name, stage, account_id)
    if found := _first(f"SELECT resource_id FROM {roles.table} GROUP BY resource_id HAVING count(*) > 1"):
        raise RowsContradict(f"The user {_uuid(found[0])} has two roles. {_EXPORT_AGAIN}")
    users = stages["User"].table
    orphan = _first(
        f"SELECT r.resource_id FROM {roles.table} r LEFT JOIN {users} u ON u.id = r.resource_id WHERE u.id IS NULL"
    )
    if orphan:
        raise RowsContradict(
            f"A role names the user {_uuid(orphan[0])}, who is not in the export. {_DELETED_MEANWHILE}"
        )
    without = _first(
        f"SELECT u.id FROM {users} u LEFT JOIN {roles.table} r ON r.resource_id = u.id WHERE r.resource_id IS NULL"
    )
    if without:
        raise ExportIncomplete(f"The export is incomplete: the user {_uuid(without[0])} has no role; copy it again")
    if not _first(f"SELECT 1 FROM {roles.table} WHERE role = 'admin'"):
        raise ExportIncomplete("The export is incomplete: its account has no admin; copy it again")
    pool = "use_pool AND (encrypted OR scheme IS NOT NULL)"
    if found := _first(f"SELECT id FROM {stages['Policy'].table} WHERE {pool}"):
        raise RowsContradict(
            f"The Policy {_uuid(found[0])} has a pool, and a scheme or encrypted keys. Change it in keygen-api, and "
            "export again"
        )


def _refuse_duplicates(name: str, stage: Stage, columns: str) -> None:
    # Nulls are no duplicates.
    first = columns.split(", ")[0]
    found = _first(
        f"SELECT min({_text('id')}), max({_text('id')}) FROM {stage.table} WHERE {first} IS NOT NULL "
        f"GROUP BY {columns} HAVING count(*) > 1"
    )
    if found and columns == "id":
        raise RowsContradict(f"The id {_uuid(found[0])} occurs twice among the rows of {name}. {_EXPORT_AGAIN}")
    if found:
        noun = _NOUNS.get(columns, columns.replace("lower(code)", "code").replace("_id", "").replace(", ", " and "))
        change = "Give one of them another key" if columns == "digest" else "Change or delete one of them"
        raise RowsContradict(
            f"The {name} {_uuid(found[0])} and the {name} {_uuid(found[1])} have the same {noun}. {change} in "
            "keygen-api, and export again"
        )


def _refuse_dangling(name: str, stage: ClassStage, stages: dict[str, ClassStage]) -> None:
    for field in stage.export_class.fields:
        if not isinstance(field, ForeignKey):
            continue
        target = _CLASS_OF_MODEL[field.related_model]
        found = _first(
            f"SELECT s.id, s.{field.column} FROM {stage.table} s LEFT JOIN {stages[target].table} t "
            f"ON t.id = s.{field.column} WHERE s.{field.column} IS NOT NULL AND t.id IS NULL"
        )
        if found:
            raise RowsContradict(
                f"The {name} {_uuid(found[0])} names the {target} {_uuid(found[1])}, which is not in the export. "
                f"{_DELETED_MEANWHILE}"
            )


def _refuse_taken_ids(name: str, stage: ClassStage, account_id: UUID) -> None:
    model = stage.export_class.model
    table = model._meta.db_table
    found = _first(
        f"SELECT s.id FROM {stage.table} s JOIN {table} r ON r.id = s.id WHERE r.account_id != %s",
        [_value(model, "account", account_id)],
    )
    if found:
        raise RowsContradict(
            f"Another account of this server has a {name} with the id {_uuid(found[0])}. {_OTHER_SERVER}"
        )


def leave_out_keys(stages: dict[str, ClassStage], used: Stage, account_id: UUID, report: MoveReport) -> None:
    """Remove the keys that would be sold twice from the staged ones, and name them in the report.

    Those are the keys of licenses and the used ones, also in another spelling, those that were used here before the
    account was deleted or is replaced, those that spell the id of a license, and the second of two equal ones.
    """
    keys, licenses = stages["Key"], stages["License"]
    blocked = f"SELECT digest FROM {UsedText._meta.db_table} WHERE account_id = '{uuid_value(account_id)}'"
    way_out = "in another spelling: if it is another key, add it with import_keys"
    for reason, condition in {
        "is the key of a license": f"digest IN (SELECT digest FROM {licenses.table})",
        "has been used, as the file of --used-keys says": f"digest IN (SELECT digest FROM {used.table})",
        Reason.USED.value: f"digest IN ({blocked})",
        f"is the key of a license {way_out}": f"spelling IN (SELECT spelling FROM {licenses.table})",
        f"has been used, as the file of --used-keys says, {way_out}": (
            f"spelling IN (SELECT spelling FROM {used.table} WHERE spelling IS NOT NULL)"
        ),
        "spells the id of a license": f"as_uuid IN (SELECT id FROM {licenses.table})",
        "waits twice: the older one was imported": _later_twin(keys.table),
    }.items():
        for id, stored in _fetch(f"SELECT id, key FROM {keys.table} WHERE {condition} ORDER BY created, id"):
            label = mask_key(decrypt_text(stored, KEY_PURPOSE))
            report.leave_out(Finding("Key", str(_uuid(id)), label, reason, False), reason)
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {keys.table} WHERE {condition}")


def _later_twin(table: str) -> str:
    """The condition of a row with the digest of an earlier one."""
    return f"""id IN (
        SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY digest ORDER BY created, id) AS number FROM {table}
            WHERE digest IN (SELECT digest FROM {table} GROUP BY digest HAVING count(*) > 1)) AS twins
        WHERE number > 1)"""


def leave_out_tokens(stages: dict[str, ClassStage], tokens: Stage, report: MoveReport) -> None:
    """Remove the tokens whose bearers are not in the export, and name them in the report.

    Raises:
        RowsContradict: two tokens have the same id or digest, or another account has it.
    """
    for columns in ("id", "digest"):
        if found := _first(f"SELECT min({_text('id')}) FROM {tokens.table} GROUP BY {columns} HAVING count(*) > 1"):
            raise RowsContradict(
                f"The {columns} of the token {_uuid(found[0])} occurs twice in the table of tokens. "
                "Write the table again"
            )
    own = _value(Token, "account", report.account_id)
    found = _first(
        f"SELECT s.id FROM {tokens.table} s JOIN {Token._meta.db_table} t ON t.id = s.id OR t.digest = s.digest "
        "WHERE t.account_id != %s",
        [own],
    )
    if found:
        raise RowsContradict(f"Another account of this server has the token {_uuid(found[0])}. {_OTHER_SERVER}")
    reason = "speaks for a bearer who is not in the export"
    for name in ("User", "Product", "License"):
        model = BY_NAME[name].model
        type_id = ContentType.objects.get_for_model(model).pk
        condition = f"bearer_type_id = {type_id} AND bearer_id NOT IN (SELECT id FROM {stages[name].table})"
        for id, label in _fetch(f"SELECT id, name FROM {tokens.table} WHERE {condition}"):
            report.leave_out(Finding("Token", str(_uuid(id)), label or "", reason, False), reason)
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {tokens.table} WHERE {condition}")


def find_lost_tokens(tokens: Stage, account_id: UUID, report: MoveReport, *, without_tokens: bool) -> None:
    """Name the tokens of the earlier import that this one does not bring: they stop working.

    Args:
        without_tokens: whether it may bring none.

    Raises:
        TokensMissing: it brings none, although the earlier one did.
    """
    earlier = Token.objects.filter(account=account_id).order_by("pk")
    if not tokens.count and not without_tokens and (count := earlier.count()):
        raise TokensMissing(
            f"The account has {count_of(count, 'token')} of its earlier import, and this import brings none, so that "
            "the programs that use them would stop working. Give the table of tokens with --tokens, or say "
            "--without-tokens"
        )
    table = Token._meta.db_table
    account = _value(Token, "account", account_id)
    lost = f"SELECT id, name FROM {table} WHERE account_id = %s AND id NOT IN (SELECT id FROM {tokens.table})"
    reason = "came with the earlier import and is not in this one: it stops working"
    for id, name in _fetch(f"{lost} ORDER BY id", [account]):
        report.find(Finding("Token", str(_uuid(id)), name or "", reason, False))


def find_uncertain(stages: dict[str, ClassStage], report: MoveReport) -> None:
    """Name the rows in the report that are imported, but may not work as they did."""
    licenses, policies = stages["License"], stages["Policy"]
    encrypted = (
        f"SELECT l.id, l.name FROM {licenses.table} l JOIN {policies.table} p ON p.id = l.policy_id WHERE p.encrypted"
    )
    problem = "is of an encrypted policy: the export has a digest of its key, which this server cannot check"
    for id, name in _fetch(encrypted):
        report.find(Finding("License", str(_uuid(id)), name or "", problem, True))
    _find_ambiguous(stages, report)
    keys = stages["Key"]
    without_pool = (
        f"SELECT k.policy_id, count(*) FROM {keys.table} k JOIN {policies.table} p ON p.id = k.policy_id "
        "WHERE NOT p.use_pool GROUP BY k.policy_id ORDER BY k.policy_id"
    )
    for id, count in _fetch(without_pool):
        problem = f"has no pool, but {count_of(count, 'key')} under it: imported and listed, and never handed out"
        [(name,)] = _fetch(f"SELECT name FROM {policies.table} WHERE id = %s", [id])
        report.find(Finding("Policy", str(_uuid(id)), name or "", problem, True))
    alike = f"""SELECT id, key FROM (
        SELECT id, key, created, row_number() OVER (PARTITION BY spelling ORDER BY created, id) AS number
            FROM {keys.table}) AS spelled
        WHERE number > 1 ORDER BY created, id"""
    problem = "differs from another key that waits in its spelling only: both are imported, look whether they are one"
    for id, stored in _fetch(alike):
        report.find(Finding("Key", str(_uuid(id)), mask_key(decrypt_text(stored, KEY_PURPOSE)), problem, True))


def _find_ambiguous(stages: dict[str, ClassStage], report: MoveReport) -> None:
    """Report rows whose key, fingerprint or code is also an id, so that a URL may find another row.

    Also reports licenses whose keys differ only in spelling. Contract: licenses 4, machines 4.1.
    """
    for name, column in IDENTIFIERS.items():
        table = stages[name].table
        if name in ("License", "Machine"):
            spelled = (
                f"SELECT s.id, s.name FROM {table} s JOIN {table} other ON other.id = s.as_uuid "
                "WHERE other.id != s.id ORDER BY s.id"
            )
            problem = (
                f"has a {column} that spells the id of another {name.lower()}: a URL with this text leads to the one "
                "that was created first. Give it another one"
            )
        elif column == "code":
            spelled = f"SELECT id, name FROM {table} WHERE as_uuid IS NOT NULL ORDER BY id"
            problem = "has a code that spells an id: a URL finds it by its id only. Give it another code"
        else:  # those that wait are left out
            continue
        for id, label in _fetch(spelled):
            report.find(Finding(name, str(_uuid(id)), label or "", problem, True))
    alike = f"""SELECT id, name FROM (
        SELECT id, name, created, row_number() OVER (PARTITION BY spelling ORDER BY created, id) AS number
            FROM {stages["License"].table}) AS spelled
        WHERE number > 1 ORDER BY created, id"""
    problem = "has a key that differs from that of another license in its spelling only: each is found by its own"
    for id, label in _fetch(alike):
        report.find(Finding("License", str(_uuid(id)), label or "", problem, True))


def _first(sql: str, parameters: list[Any] | None = None) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT 1", parameters)
        return cursor.fetchone()


def _fetch(sql: str, parameters: list[Any] | None = None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query, in flat memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(_FETCHED_AT_ONCE):
            yield from rows


def _value(model: Any, name: str, value: Any) -> Any:
    return model._meta.get_field(name).get_db_prep_save(value, connection)


def _text(column: str) -> str:
    # PostgreSQL 15 has no minimum of UUIDs.
    return f"{column}::text" if connection.vendor == "postgresql" else column


def _uuid(value: Any) -> UUID | None:
    return parse_uuid(str(value))
