from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models.users import User

BULK_ACTION_LIFETIME = timedelta(days=7)
INTERRUPTED_AFTER = timedelta(seconds=30)  # without a heartbeat, which comes with each row


class BulkActionQuerySet(models.QuerySet["BulkAction"]):
    def prune(self) -> None:
        """Delete those that are older than BULK_ACTION_LIFETIME."""
        self.filter(created__lt=timezone.now() - BULK_ACTION_LIFETIME).delete()


class BulkAction(models.Model):
    """The rows that an operator has chosen in a list, and the progress of the action that runs on them.

    It is stored, so that no URL has the rows, and so that a process can take over when another one has ended. Each row
    is changed in a transaction with its progress, so none is changed twice.

    Attributes:
        model_label: the label of the list's model, e.g. `pools.key`.
        action: the name of the action.
        filters: the query of the list, to lead back to it.
        total, done: the numbers of rows chosen, and of rows dealt with.
        changed: the number of rows that the action has changed.
        refused: the numbers of rows that it has not changed, by the reason.
        values: the values of the action's form.
        started: when the operator has confirmed it. Null before, and if it runs within the request.
        finished: when the last row was dealt with.
        alive: the time of the last row.
        claims: how often a process has begun with it; a process that was replaced notices it by this.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operator = models.ForeignKey(User, models.CASCADE, related_name="+")
    model_label = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    filters = models.TextField(blank=True)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=dict)
    values = models.JSONField(default=dict)
    request_id = models.CharField(max_length=36, blank=True)
    created = models.DateTimeField(default=timezone.now)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    alive = models.DateTimeField(null=True)
    claims = models.PositiveIntegerField(default=0)

    objects = BulkActionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created"], name="accounts_bulkaction_created")]

    def __str__(self) -> str:
        return f"{self.action} {self.total} {self.model_label}"

    @property
    def is_running(self) -> bool:
        return self.started is not None and self.finished is None

    @property
    def is_interrupted(self) -> bool:
        """Whether the process that ran it has ended."""
        return self.is_running and (self.alive is None or self.alive < timezone.now() - INTERRUPTED_AFTER)

    def row_ids(self) -> list[UUID]:
        """The ids of the rows, in their order."""
        return unpack_ids(bytes(self.rows.ids))


class BulkActionRows(models.Model):
    """The ids of the rows of a bulk action, in a table of their own: SQLite rewrites a changed row as a whole."""

    bulk_action = models.OneToOneField(BulkAction, models.CASCADE, primary_key=True, related_name="rows")
    ids = models.BinaryField()

    def __str__(self) -> str:
        return str(self.bulk_action_id)


def pack_ids(ids: Sequence[UUID]) -> bytes:
    """UUIDs as bytes, 16 each."""
    return b"".join(each.bytes for each in ids)


def unpack_ids(packed: bytes) -> list[UUID]:
    """The UUIDs of `pack_ids()`."""
    return [UUID(bytes=packed[start : start + 16]) for start in range(0, len(packed), 16)]
