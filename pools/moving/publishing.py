"""Writing staged rows to their tables, in the caller's transaction."""

from typing import Any

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Account, Activity, SigningKey, Token, TokenKeys
from licensing.models import Policy
from pools.models import Key, KeyEvent, KeyImport, UsedText
from pools.moving.account_keys import KEY_COLUMNS, read_key_pair
from pools.moving.classes import BY_NAME
from pools.moving.format import Row
from pools.moving.staging import ClassStage, Stage, type_of, uuid_value

IMPORT_NAME = "Moved in from keygen-api"


def write_account(account: Account, row: Row, audit: AuditContext, *, has_tokens: bool) -> None:
    """Write an account, and its keys that sign and that digest tokens.

    Args:
        account: unsaved, and checked.
        row: the row of the account in the export, checked.
        has_tokens: whether tokens move in too.
    """
    updated = account.updated
    account.has_moved_tokens = has_tokens
    account.save(force_insert=True)
    Account.objects.filter(pk=account.pk).update(updated=updated)
    private = {kind: read_key_pair(kind, row) for kind in KEY_COLUMNS}
    for kind, text in private.items():
        SigningKey.objects.create(account=account, kind=kind, private=text)
    TokenKeys.objects.create(account=account, secret_key=row["secret_key"], private_key=private["rsa2048"])
    Activity.objects.record(Activity.Event.CREATED, account, audit)


def write_rows(
    stages: dict[str, ClassStage], roles: Stage, tokens: Stage, used: Stage, account: Account, audit: AuditContext
) -> None:
    """Write all staged rows of an account that is written already. The stages must have been checked."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Deferred checks of all rows would fill the database server's memory.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name, export_class in BY_NAME.items():
        stage, model = stages.get(name), export_class.model
        if stage is None or model is Account:
            continue
        if name == "User":
            role = {"role": "COALESCE(r.role, 'user')"}
            _insert(stage, model, account, role, f"LEFT JOIN {roles.table} r ON r.resource_id = s.id")
        elif name == "Machine":  # the product is a copy of the license's
            of_license = f"JOIN {stages['License'].table} l ON l.id = s.license_id"
            _insert(stage, model, account, {"product_id": "l.product_id"}, of_license)
        elif name == "Key":
            _write_keys(stage, account, audit)
        else:
            _insert(stage, model, account)
    _insert(tokens, Token, account)
    _block_used_texts(stages, used, account)
    values = dict(account.settings.values_list("key", "value"))
    if values:
        Account.objects.filter(pk=account.pk).update(setting_values=values)


def _write_keys(stage: Stage, account: Account, audit: AuditContext) -> None:
    """Write the keys that wait, with an import for each pool, as if they had been imported there."""
    imports = Stage("import", {"policy_id": type_of(Key._meta.pk), "import_id": type_of(Key._meta.pk)})
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT policy_id, count(*) FROM {stage.table} GROUP BY policy_id ORDER BY policy_id")
        counts = {str(policy_id): count for policy_id, count in cursor.fetchall()}
    rows = []
    for policy in Policy.objects.filter(account=account, pk__in=list(counts)).order_by("created", "id"):
        key_import = KeyImport(
            account=account, policy=policy, name=IMPORT_NAME, operator=audit.operator, operator_id=audit.operator_id
        )
        key_import.added = counts[uuid_value(policy.pk)]
        key_import.save(force_insert=True)
        details: KeyEvent.Details = {"count": key_import.added}
        KeyEvent.about_many(KeyEvent.Event.ADDED, policy, audit, key_import=key_import, details=details).save()
        rows.append([uuid_value(policy.pk), uuid_value(key_import.pk)])
    imports.write(rows)
    place = "row_number() OVER (PARTITION BY s.policy_id ORDER BY s.created, s.id)"
    more = {"place": place, "key_import_id": "i.import_id"}
    _insert(stage, Key, account, more, f"JOIN {imports.table} i ON i.policy_id = s.policy_id")


def _insert(
    stage: Stage, model: type[Model], account: Account, more: dict[str, str] | None = None, join: str = ""
) -> None:
    """Write the rows of a stage to the table of a model. Fields that are not staged have their defaults.

    Args:
        more: the values of further columns, in SQL.
        join: of the staged rows `s` with another table.
    """
    if not stage.count:
        return
    expressions, parameters = {}, []
    for field in model._meta.concrete_fields:
        column = str(field.column)
        if more and column in more:
            expressions[column] = more[column]
        elif column in stage.columns:
            expressions[column] = f"s.{column}"
        else:
            expressions[column] = "%s" if connection.vendor == "sqlite" else f"%s::{type_of(field)}"
            value = account.pk if column == "account_id" else field.get_default()
            parameters.append(field.get_db_prep_save(value, connection))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(expressions)}) "
            f"SELECT {', '.join(expressions.values())} FROM {stage.table} s {join}",
            parameters,
        )


def _block_used_texts(stages: dict[str, ClassStage], used: Stage, account: Account) -> None:
    """Block the keys of pooled licenses and the used ones, so that none enters a pool again."""
    fields: Any = {field.name: field for field in UsedText._meta.concrete_fields}
    account_id = fields["account_id"].get_db_prep_save(account.pk, connection)
    now = fields["created"].get_db_prep_save(timezone.now(), connection)
    pooled = (
        f"SELECT l.digest, 'key' AS kind FROM {stages['License'].table} l "
        f"JOIN {stages['Policy'].table} p ON p.id = l.policy_id WHERE p.use_pool"
    )
    typed = "%s::uuid, digest, min(kind), %s::timestamptz"  # "key", which blocks more, comes before "license"
    if connection.vendor == "sqlite":
        typed = "%s, digest, min(kind), %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {UsedText._meta.db_table} (account_id, digest, kind, created) "
            f"SELECT {typed} FROM ({pooled} UNION SELECT digest, kind FROM {used.table}) AS texts "
            "WHERE true GROUP BY digest ON CONFLICT (account_id, digest) "
            f"DO UPDATE SET kind = excluded.kind WHERE excluded.kind = '{UsedText.Kind.KEY}'",
            [account_id, now],
        )
