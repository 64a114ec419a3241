"""Replacing an account that moved in and was not written to since."""

from typing import Any

from django.db import connection
from django.db.models import Count, Max, Q

from accounts.models import Account, Activity, Token
from licensing.models import License, Machine
from pools.models import Key, KeyEvent, KeyImport, Move, UsedText
from pools.moving.classes import CLASSES
from pools.moving.errors import AccountExists, AlreadyMoved
from pools.moving.staging import Stage, type_of

# Timestamps that a use of the account sets without changing `updated`. A list of keys in the API sets that of a token.
_USES = {
    Key: ("popped", "withdrawn", "disclosed"),
    License: ("last_validated", "last_check_in", "last_check_out", "expiry"),
    Machine: ("last_heartbeat",),
    Token: ("last_used",),
}
# Entries of the activity that change nothing and show no key that waits: lists of the console, which mask those. An
# export of the account has them in clear.
_LOOKS = Q(event=Activity.Event.SIGNED_IN) | Q(event=Activity.Event.EXPORTED, noun="list")


def account_state(account: Account) -> dict[str, Any]:
    """The numbers of an account's rows, and the times of their last changes: a later change makes another state."""
    state: dict[str, Any] = {}
    models: list[Any] = [*(each.model for each in CLASSES), Token, KeyEvent, Activity, UsedText]
    for model in models:
        queryset: Any = model._base_manager.filter(**({"pk": account.pk} if model is Account else _of(account)))
        if model is Activity:
            queryset = queryset.exclude(_LOOKS)
        names = [name for name in ("updated", *_USES.get(model, ())) if _has(model, name)]
        found = queryset.aggregate(count=Count("pk"), **{f"last_{name}": Max(name) for name in names})
        state[model.__name__] = [found["count"], *(str(found[f"last_{name}"]) for name in names)]
    return state


def _of(account: Account) -> dict[str, Any]:
    return {"account_id": account.pk}


def _has(model: Any, name: str) -> bool:
    return any(field.name == name for field in model._meta.concrete_fields)


def check_replaceable(account: Account, content_digest: bytes) -> None:
    """Check that an account can be replaced by one of the same id, and lock it.

    Raises:
        AlreadyMoved: it is the same account.
        AccountExists: it did not move in, or was written to since.
    """
    account.lock()
    move = Move.objects.filter(account=account).first()
    if move is None:
        raise AccountExists(
            f"The account {account.slug} ({account.pk}) exists on this server and did not move in. Import the "
            "export into another server"
        )
    if bytes(move.content_digest) == content_digest:
        raise AlreadyMoved
    if move.state != account_state(account):
        raise AccountExists(
            f"The account {account.slug} moved in on {move.created:%-d %B %Y, %H:%M} UTC and was used since. A "
            "newer export would undo what happened here, and keys could be handed out twice. If all of it was a trial, "
            "import the export into an empty database"
        )


def delete_account(account: Account) -> None:
    """Delete an account that was not written to since it moved in, in flat memory, so that it can be written again.

    The triggers keep the texts of its licenses as used; these go too: no one got them from here. Those that were marked
    before stay.
    """
    account_id = account.pk  # None once it is deleted
    digest: Any = UsedText._meta.get_field("digest")
    stored_id = UsedText._meta.get_field("account_id").get_db_prep_save(account_id, connection)  # type: ignore[union-attr]
    texts, marked = UsedText._meta.db_table, Stage("marked", {"digest": type_of(digest)})
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {marked.table} SELECT digest FROM {texts} WHERE account_id = %s", [stored_id])
        rows = [each.model for each in reversed(CLASSES) if each.model is not Account]
        models: list[Any] = [Token, KeyEvent, Key, KeyImport, *rows]
        for model in models:
            field: Any = model._meta.get_field("account")
            value = field.get_db_prep_save(account_id, connection)
            cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE {field.column} = %s", [value])
    account.delete()  # and the few other rows
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {texts} WHERE account_id = %s AND digest NOT IN (SELECT digest FROM {marked.table})",
            [stored_id],
        )
