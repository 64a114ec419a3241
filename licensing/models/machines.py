"""Machines: the devices on which a license is activated."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, GroupMember, User
from keygen_site.db.fields import AtLeast, CopiedForeignKey, DigestField, ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.jsonapi.errors import NotFound
from licensing.heartbeats import (
    ALIVE,
    DEAD,
    NOT_STARTED,
    RESURRECTED,
    MachineHeartbeatDead,
    can_be_revived,
    heartbeat_duration,
)
from licensing.models.licenses import License
from licensing.models.machine_queries import MachineQuerySet
from licensing.models.policies import Policy, limit_field
from licensing.models.products import RESERVED_IDENTIFIERS, Product

MAX_FINGERPRINT_LENGTH = 4096


def fingerprint_errors(text: str) -> list[ValidationError]:
    """Why a text cannot be a fingerprint, or the id of an operating system's process."""
    errors = []
    if text in RESERVED_IDENTIFIERS:
        errors.append(ValidationError("is reserved", code="not_allowed"))
    if len(text) > MAX_FINGERPRINT_LENGTH:
        detail = f"is too long (maximum is {MAX_FINGERPRINT_LENGTH} characters)"
        errors.append(ValidationError(detail, code="too_long"))
    return errors


class Machine(GroupMember):
    """A device on which a license is activated. To create it is the activation, to delete it the deactivation.

    `licensing.activation` has the rules that concern other rows: uniqueness, limits, the owner.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="machines", db_index=False)
    license = models.ForeignKey(License, models.CASCADE, related_name="machines", db_index=False)
    product = CopiedForeignKey(Product, models.CASCADE, of="license.product_id", related_name="+", db_index=False)
    owner = models.ForeignKey(
        User, models.CASCADE, null=True, blank=True, related_name="owned_machines", db_index=False
    )
    fingerprint = models.TextField()
    digest = DigestField(of="fingerprint")
    cores = limit_field(AtLeast(1))
    memory = limit_field(AtLeast(1), big=True)  # bytes
    disk = limit_field(AtLeast(1), big=True)  # bytes
    ip = ShortTextField(max_length=255, null=True, blank=True)
    hostname = ShortTextField(max_length=255, null=True, blank=True)
    platform = ShortTextField(max_length=255, null=True, blank=True)
    name = ShortTextField(max_length=255, null=True, blank=True)
    last_heartbeat = models.DateTimeField(null=True, blank=True, editable=False)
    # The time of the last reset: a machine that must ping has a whole duration again to start (contract: machines 6.4).
    heartbeat_reset = models.DateTimeField(null=True, editable=False)
    last_check_out = models.DateTimeField(null=True, blank=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])

    error_order = ("fingerprint", "metadata", "cores", "memory", "disk", "ip", "hostname", "platform", "name")

    has_been_revived = False  # whether this request has revived it: only its own response says so

    objects = MachineQuerySet.as_manager()

    if TYPE_CHECKING:
        from uuid import UUID

        account_id: UUID
        license_id: UUID
        product_id: UUID
        owner_id: UUID | None

    class Meta:
        # Clients may choose the id of a machine, so ids do not follow the order of creation.
        ordering = ["-created", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["license", "digest"], name="licensing_machine_unique_in_license"),
        ]
        indexes = [
            models.Index(fields=["account", "created", "id"], name="licensing_machine_listed"),
            models.Index(fields=["account", "digest"], name="licensing_machine_digest"),
            models.Index(fields=["license", "created", "id"], name="licensing_machine_of_license"),
            models.Index(fields=["product", "created", "id"], name="licensing_machine_of_product"),
            models.Index(
                fields=["owner", "created", "id"], name="licensing_machine_of_owner", condition=Q(owner__isnull=False)
            ),
            # For the members of a group.
            models.Index(
                fields=["group", "created", "id"], name="licensing_machine_group", condition=Q(group__isnull=False)
            ),
            # For `manage.py cull_machines`.
            models.Index(
                fields=["last_heartbeat"],
                name="licensing_machine_heartbeat",
                condition=Q(last_heartbeat__isnull=False),
            ),
        ]

    class JSONAPIMeta:
        resource_name = "machines"
        identifiers = "id or fingerprint"

    def __str__(self) -> str:
        return self.name or self.hostname or self.fingerprint[:64]

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields({*(exclude or ()), "fingerprint"})  # `clean()` checks it

    def clean(self) -> None:
        """The rules of a fingerprint that concern no other rows, and of a group that the machine is moved to.

        A fingerprint never changes. `activate_machine()` checks the group of a new machine, after its limits.
        """
        if self._state.adding and (errors := fingerprint_errors(self.fingerprint)):
            raise ValidationError({"fingerprint": errors})
        if not self._state.adding and (error := self.group_error()):
            raise ValidationError({"group": error})

    def lock_first(self) -> None:
        """Lock the license, as an activation does before it locks a group and waits for dead machines."""
        list(License.objects.select_for_update().filter(pk=self.license_id).values_list("pk"))

    # Changes. But for a ping, the caller locks the row, so that a worker does not delete it meanwhile. ----------------

    def ping(self) -> None:
        """Record a heartbeat by one UPDATE without a lock: a worker deletes only machines that are dead under its lock.

        Raises:
            MachineHeartbeatDead: the machine is dead, and no heartbeat revives it.
            NotFound: it has been deleted meanwhile.
        """
        now = timezone.now()
        if self.status_at(now) == DEAD:
            if not can_be_revived(self.policy, self.last_heartbeat, now):
                raise MachineHeartbeatDead
            self.has_been_revived = True
        if not self.update_columns(last_heartbeat=now, updated=now):
            raise NotFound.of("machine", self.pk)

    def reset_heartbeat(self) -> None:
        """Forget the heartbeats: the machine has not started then, and a dead one is not deleted."""
        self.last_heartbeat, self.heartbeat_reset = None, timezone.now()
        self.save(update_fields=["last_heartbeat", "heartbeat_reset", "updated"])

    def record_check_out(self, now: datetime) -> None:
        """Record that a machine file was made.

        Raises:
            NotFound: the machine has been deleted meanwhile.
        """
        if not self.update_columns(last_check_out=now, updated=now):
            raise NotFound.of("machine", self.pk)

    # Properties ------------------------------------------------------------------------------------------------------

    @property
    def activity_name(self) -> str:
        """The name in the activity: one that clients gave it, or its fingerprint."""
        return str(self)

    @property
    def policy(self) -> Policy:
        return self.license.policy

    @property
    def policy_id(self) -> "UUID":
        return self.license.policy_id

    @property
    def require_heartbeat(self) -> bool:
        """Whether it can die: its policy requires heartbeats, or it has had one."""
        return self.policy.require_heartbeat or self.last_heartbeat is not None

    @property
    def heartbeat_duration(self) -> int:
        """The seconds after which it is dead without a heartbeat."""
        return heartbeat_duration(self.policy)

    @property
    def next_heartbeat(self) -> datetime | None:
        """The time until which the last heartbeat counts."""
        return self.last_heartbeat and self.last_heartbeat + timedelta(seconds=self.heartbeat_duration)

    @property
    def heartbeat_status(self) -> str:
        """`NOT_STARTED`, `ALIVE`, `DEAD`, or `RESURRECTED` in the response to the heartbeat that revived it."""
        return RESURRECTED if self.has_been_revived else self.status_at(timezone.now())

    def status_at(self, now: datetime) -> str:
        """`NOT_STARTED`, `ALIVE` or `DEAD` (contract: machines 6.2); `MachineQuerySet.dead()` has the same rule."""
        start = self.last_heartbeat or self.heartbeat_reset or self.created
        if self.require_heartbeat and start + timedelta(seconds=self.heartbeat_duration) < now:
            return DEAD
        return NOT_STARTED if self.last_heartbeat is None else ALIVE

    @property
    def max_processes(self) -> int | None:
        """The effective maximum of the license; None is no limit."""
        return self.license.effective_limit("max_processes")
