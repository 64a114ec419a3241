"""Processes: the running instances of a program on a machine."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.models import Account
from keygen_site.db.fields import DigestField
from keygen_site.db.metadata import validate_metadata
from keygen_site.jsonapi.errors import NotFound
from keygen_site.models import Resource
from licensing.heartbeats import ALIVE, DEAD, RESURRECTED, ProcessHeartbeatDead, can_be_revived
from licensing.models.machine_queries import ProcessQuerySet
from licensing.models.machines import Machine, fingerprint_errors

if TYPE_CHECKING:
    from uuid import UUID


class Process(Resource):
    """A running instance of a program on a machine. It is dead without heartbeats, which its creation begins.

    `licensing.machine_parts` has the rules that concern other rows.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="processes", db_index=False)
    machine = models.ForeignKey(Machine, models.CASCADE, related_name="processes", db_index=False)
    pid = models.TextField()
    digest = DigestField(of="pid")
    last_heartbeat = models.DateTimeField(editable=False)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])

    error_order = ("pid", "metadata")

    in_activity = False  # processes come and go with every run of a program

    has_been_revived = False  # whether this request has revived it: only its own response says so

    objects = ProcessQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: "UUID"
        machine_id: "UUID"

    class Meta:
        # Clients may choose the id of a process, so ids do not follow the order of creation.
        ordering = ["-created", "-id"]
        verbose_name_plural = "processes"
        constraints = [
            models.UniqueConstraint(fields=["machine", "digest"], name="licensing_process_unique_in_machine"),
        ]
        indexes = [
            models.Index(fields=["account", "created", "id"], name="licensing_process_listed"),
            # For `manage.py cull_machines`.
            models.Index(fields=["last_heartbeat"], name="licensing_process_heartbeat"),
        ]

    class JSONAPIMeta:
        resource_name = "processes"
        noun = "machine process"  # in errors

    def __str__(self) -> str:
        return self.pid[:64]

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields({*(exclude or ()), "pid"})  # `clean()` checks it

    def clean(self) -> None:
        """The rules of a new process id that concern no other rows. It never changes afterwards."""
        if self._state.adding and (errors := fingerprint_errors(self.pid)):
            raise ValidationError({"pid": errors})

    def ping(self) -> None:
        """Record a heartbeat, in one UPDATE that needs no lock, as of a machine.

        Raises:
            ProcessHeartbeatDead: the process is dead, and no heartbeat revives it.
            NotFound: it has been deleted meanwhile.
        """
        now = timezone.now()
        if self.status_at(now) == DEAD:
            if not can_be_revived(self.machine.policy, self.last_heartbeat, now):
                raise ProcessHeartbeatDead
            self.has_been_revived = True
        if not self.update_columns(last_heartbeat=now, updated=now):
            raise NotFound.of("machine process", self.pk)

    @property
    def interval(self) -> int:
        """The seconds after which it is dead without a heartbeat: those of its machine."""
        return self.machine.heartbeat_duration

    @property
    def next_heartbeat(self) -> datetime:
        """The time until which the last heartbeat counts."""
        return self.last_heartbeat + timedelta(seconds=self.interval)

    @property
    def status(self) -> str:
        """`ALIVE`, `DEAD`, or `RESURRECTED` in the response to the heartbeat that revived it."""
        return RESURRECTED if self.has_been_revived else self.status_at(timezone.now())

    def status_at(self, now: datetime) -> str:
        """`ALIVE` or `DEAD`; `ProcessQuerySet.dead()` has the same rule."""
        return DEAD if self.next_heartbeat < now else ALIVE

    @property
    def policy_id(self) -> "UUID":
        return self.machine.license.policy_id
