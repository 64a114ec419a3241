"""Changes of the available keys of an import: undo the import, or move or withdraw the keys.

All work in short transactions, so that pops go on. Keys that were popped meanwhile stay unchanged. After an
interruption, another call does the rest.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy, PoolNotSupported
from pools.models import Key, KeyEvent, KeyImport
from pools.models.keys import KeyQuerySet
from pools.popping import forget_hints
from pools.services.low_stock import alert_if_low, reset_low_alert

BATCH_SIZE = 2_000  # keys: pops skip those that a batch has locked

Progress = Callable[[int], None]


def ignore_progress(changed: int) -> None:
    """For callers that do not show any progress."""


class DestinationIsSource(DomainError):
    source = {"pointer": "/meta/policy"}
    detail = "is the policy whose pool already has these keys"


@dataclass(frozen=True)
class ImportChange:
    """The result of a change of an import's keys.

    Attributes:
        changed: the number of keys that were removed, moved or withdrawn.
        popped, withdrawn, disclosed: the numbers of keys that were left: handed out or withdrawn before, or available
            but disclosed, for which an undo is too late.
        is_complete: whether the time sufficed for all keys.
    """

    changed: int
    popped: int
    withdrawn: int
    disclosed: int
    is_complete: bool = True

    def as_dict(self) -> dict[str, int]:
        """The numbers, for the API."""
        return {name: getattr(self, name) for name in ("changed", "popped", "withdrawn", "disclosed")}

    def describe_left(self) -> str:
        """A sentence about the keys that were left."""
        return (
            f"Left: {self.popped:,} popped, {self.withdrawn:,} withdrawn, {self.disclosed:,} available and disclosed."
        )


def undo_import(
    *, key_import: KeyImport, audit: AuditContext, seconds: float | None = None, on_progress: Progress = ignore_progress
) -> ImportChange:
    """Delete the keys of an import that are available and undisclosed. Their texts can be added again.

    Keys that were imported as used stay: they may have reached a customer of the other system.

    Args:
        seconds: the time after which it stops, to be continued by another call. None: it has no limit.
        on_progress: is called after each transaction with the number of keys changed so far.
    """
    event = KeyEvent.about_many(
        KeyEvent.Event.REMOVED, key_import.policy, audit, key_import=key_import, details={"count": 0}
    )

    def remove(keys: list[Key]) -> None:
        _count(event, len(keys))
        Key.objects.filter(pk__in=[key.pk for key in keys]).delete()

    return _change_in_batches(key_import, key_import.keys.available().undisclosed(), remove, seconds, on_progress)


def move_import(
    *,
    key_import: KeyImport,
    destination: Policy,
    audit: AuditContext,
    seconds: float | None = None,
    on_progress: Progress = ignore_progress,
) -> ImportChange:
    """Move the available keys of an import to another pool of the account, where they form an import of their own.

    Keys keep their ids and so their age: the pool hands out the oldest first.

    Args:
        seconds, on_progress: as for `undo_import`.

    Raises:
        PoolNotSupported: the other policy has no pool.
        DestinationIsSource: it is the same pool.
    """
    if not destination.use_pool:
        raise PoolNotSupported(pointer="/meta/policy")
    if destination.pk == key_import.policy_id:
        raise DestinationIsSource
    moved, _ = KeyImport.objects.get_or_create(
        account=key_import.account,
        policy=destination,
        moved_from=key_import,
        defaults={
            "name": key_import.name,
            "source": key_import.source,
            "operator": audit.operator,
            "operator_id": audit.operator_id,
            "bearer_type": audit.bearer_type,
            "bearer_id": audit.bearer_id,
        },
    )
    left = KeyEvent.about_many(
        KeyEvent.Event.MOVED,
        key_import.policy,
        audit,
        key_import=key_import,
        details={"count": 0, "destination": str(destination.pk)},
    )
    arrived = KeyEvent.about_many(
        KeyEvent.Event.ADDED, destination, audit, key_import=moved, details={"count": 0, "source": str(key_import.pk)}
    )

    def move(keys: list[Key]) -> None:
        _count(left, len(keys))
        _count(arrived, len(keys))
        Key.objects.filter(pk__in=[key.pk for key in keys]).update(policy=destination, key_import=moved)
        KeyImport.objects.filter(pk=moved.pk).update(added=F("added") + len(keys))  # another call may move too
        reset_low_alert(destination)
        transaction.on_commit(lambda: forget_hints(destination))  # they may be older than the keys that it has

    return _change_in_batches(key_import, key_import.keys.available(), move, seconds, on_progress)


def withdraw_import(
    *,
    key_import: KeyImport,
    audit: AuditContext,
    reason: str = "",
    seconds: float | None = None,
    on_progress: Progress = ignore_progress,
) -> ImportChange:
    """Withdraw the available keys of an import.

    Args:
        reason: for the ledger, at most `pools.services.keys.MAX_REASON_CHARACTERS`.
        seconds, on_progress: as for `undo_import`.
    """
    details: KeyEvent.Details = {"reason": reason} if reason else {}

    def withdraw(keys: list[Key]) -> None:
        Key.objects.filter(pk__in=[key.pk for key in keys]).update(withdrawn=timezone.now())
        KeyEvent.objects.bulk_create(
            KeyEvent.about(KeyEvent.Event.WITHDRAWN, key, audit, details=details) for key in keys
        )

    return _change_in_batches(
        key_import, key_import.keys.available().select_related("policy"), withdraw, seconds, on_progress
    )


def _change_in_batches(
    key_import: KeyImport,
    keys: KeyQuerySet,
    change: Callable[[list[Key]], None],
    seconds: float | None,
    on_progress: Progress,
) -> ImportChange:
    """Change keys that are no longer in `keys` afterwards, a batch per transaction.

    A batch skips locked keys, because a pop of several keys may wait for a key of the batch. At the end they are
    changed one by one: a transaction that has locked nothing else may wait.
    """
    keys = keys.order_by("id")
    changed, last, started = 0, UUID(int=0), time.monotonic()
    skips_locked = True
    while True:
        with transaction.atomic():
            following = keys.filter(pk__gt=last)  # so that no batch scans the keys that earlier ones changed
            if skips_locked:
                batch = list(following.select_for_update(of=("self",), skip_locked=True)[:BATCH_SIZE])
            else:
                batch = list(keys.select_for_update(of=("self",))[:1])
            if batch:
                change(batch)
        if batch:
            changed, last = changed + len(batch), batch[-1].pk
            on_progress(changed)
        elif skips_locked:
            skips_locked = False
            continue
        else:
            return _finish(key_import, changed, is_complete=True)
        if seconds is not None and time.monotonic() - started > seconds:
            return _finish(key_import, changed, is_complete=False)


def _count(event: KeyEvent, number: int) -> None:
    """Add to the count of an event in the transaction of the change, and save the event."""
    assert event.details is not None
    event.details["count"] += number
    event.save()


def _finish(key_import: KeyImport, changed: int, *, is_complete: bool) -> ImportChange:
    alert_if_low(Policy.objects.get(pk=key_import.policy_id), after_pop=False)
    left = key_import.keys.aggregate(
        keys_popped=Count("pk", filter=Q(popped__isnull=False, withdrawn=None)),
        keys_withdrawn=Count("pk", filter=Q(withdrawn__isnull=False)),
        keys_disclosed=Count("pk", filter=Q(popped=None, withdrawn=None, disclosed__isnull=False)),
    )
    return ImportChange(changed, left["keys_popped"], left["keys_withdrawn"], left["keys_disclosed"], is_complete)
