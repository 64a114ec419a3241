"""The querysets of machines, and of their components and processes."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from accounts.bearers import Bearer
from accounts.models import User
from keygen_site.db.conditions import unindexed
from keygen_site.db.fields import digest
from keygen_site.db.literals import Literal
from keygen_site.db.uuids import parse_uuid
from licensing.heartbeats import ALIVE, DEAD, Moment, heartbeat_end, revival_end, revival_is_over
from licensing.models.license_users import LicenseUser
from licensing.models.licenses import License
from licensing.models.machine_totals import Totals, sums, totals_of

if TYPE_CHECKING:
    from licensing.models.components import Component  # noqa: F401 named in a string
    from licensing.models.machines import Machine  # noqa: F401 named in a string
    from licensing.models.processes import Process  # noqa: F401 named in a string


def visible_machines(bearer: Bearer, license: str, *, is_narrowed: bool = False) -> Q:
    """A condition for the machines that a bearer may see, or for their parts (contract: machines 10.2).

    Args:
        license: the path to the license, which begins with that to the machine.
        is_narrowed: whether the list has another condition, for which there is an index in the order of lists.
    """
    account = Q(account=bearer.account_id)
    if is_narrowed or not bearer.is_staff:
        account = unindexed(account=bearer.account_id)
    if bearer.is_staff:
        return account
    match bearer.role:
        case "product":
            return account & Q(**{f"{license.removesuffix('license')}product": bearer.id})
        case "license":
            return account & Q(**{license: bearer.id})
        case "user":
            return account & licensed_to(bearer.id, license)
    return Q(pk__in=[])


def licensed_to(user: User | UUID, license: str) -> Q:
    """A condition for the machines of licenses that a user owns or is attached to, or for their parts."""
    return Q(**{f"{license}__in": licenses_of_users([user])})


def licenses_of_users(users: Collection[User | UUID] | models.QuerySet[User]) -> models.QuerySet[License, Any]:
    """The ids of the licenses that some users own or are attached to.

    A union, so that an index of machines by license serves it: it would not serve two conditions in an OR.
    """
    owned = License.objects.filter(owner__in=users).order_by().values("pk")
    return owned.union(LicenseUser.objects.filter(user__in=users).order_by().values("license"))


class MachineQuerySet(models.QuerySet["Machine"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The machines that a bearer may see."""
        return self.filter(visible_machines(bearer, "license"))

    def narrowed_visible_to(self, bearer: Bearer) -> Self:
        """As `visible_to`, of a list with another condition that has an index: see `visible_machines()`."""
        return self.filter(visible_machines(bearer, "license", is_narrowed=True))

    def for_user(self, user: User | UUID) -> Self:
        """Machines of licenses that a user owns or is attached to; not those whose `owner` the user is."""
        return self.filter(licensed_to(user, "license"))

    def with_api_fields(self) -> Self:
        """Machines with their license and its policy."""
        return self.select_related("license__policy")

    def with_fingerprint(self, text: str) -> Self:
        """The machines with exactly this fingerprint."""
        return self.filter(digest=digest(text))

    def by_identifier(self, identifier: str) -> Self:
        """Machines whose id or fingerprint is `identifier`, the oldest first (contract: machines 4.1)."""
        uuid, named = parse_uuid(identifier), Q(digest=digest(identifier))
        return self.filter(named | Q(pk=uuid) if uuid else named).order_by("created", "id")

    def sharing_limits_with(self, owner_id: UUID | None, *, per_user: bool) -> Self:
        """The machines of a license that share its limits with an owner's (contract: machines 3.6).

        Args:
            owner_id: None for the machines without an owner, which share them too.
            per_user: whether each owner has limits of their own.
        """
        return self.filter(owner=owner_id) if per_user else self

    def totals(self) -> Totals:
        """The number of the machines, and the sums over them, which may exceed 64 bits."""
        return totals_of(self.aggregate(**sums()))

    # Heartbeats ------------------------------------------------------------------------------------------------------

    def dead(self, now: Moment) -> Self:
        """Machines that are dead at a time (contract: machines 6.2)."""
        return self._with_heartbeat_end().filter(self._is_monitored(), heartbeat_end__lt=now)

    def alive(self, now: Moment) -> Self:
        """Machines that are not dead: alive, or not started."""
        return self._with_heartbeat_end().exclude(self._is_monitored() & Q(heartbeat_end__lt=now))

    def with_status(self, status: str, now: Moment) -> Self:
        """Machines that are `ALIVE` or not started, or `DEAD`; none with any other status."""
        return self.alive(now) if status == ALIVE else self.dead(now) if status == DEAD else self.none()

    def to_cull(self, now: Moment) -> Self:
        """Dead machines that no heartbeat can revive and whose policy gives up their seats (contract: machines 6.5)."""
        return self._with_revival_end().filter(self._is_to_cull(now))

    def with_seats(self, now: Moment, *, kept: UUID | None = None) -> Self:
        """Machines that count for limits and whose fingerprints are taken: all but those to cull.

        So a seat is free the moment it may be given up, whether or not a worker has deleted the machine.

        Args:
            kept: the id of a machine that counts in any case.
        """
        gone = self._is_to_cull(now)
        return self._with_revival_end().exclude(gone & ~Q(pk=kept) if kept else gone)

    def _is_to_cull(self, now: Moment) -> Q:
        policies = Q(license__policy__heartbeat_cull_strategy=Literal("DEACTIVATE_DEAD"))
        return policies & self._is_monitored() & revival_is_over("license__policy", now)

    def _with_heartbeat_end(self) -> Self:
        return self.alias(heartbeat_end=heartbeat_end(_start(), "license__policy"))

    def _with_revival_end(self) -> Self:
        return self.alias(revival_end=revival_end(_start(), "license__policy"))

    @staticmethod
    def _is_monitored() -> Q:
        return Q(last_heartbeat__isnull=False) | Q(license__policy__require_heartbeat=True)


def _start() -> Coalesce:
    """SQL: the time from which the duration of a machine's heartbeats counts."""
    return Coalesce("last_heartbeat", "heartbeat_reset", "created")


class ComponentQuerySet(models.QuerySet["Component"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The components of the machines that a bearer may see."""
        return self.filter(visible_machines(bearer, "machine__license"))

    def with_api_fields(self) -> Self:
        """Components with their machine and its license."""
        return self.select_related("machine__license__policy")

    def with_fingerprint(self, text: str) -> Self:
        """The components with exactly this fingerprint."""
        return self.filter(digest=digest(text))


class ProcessQuerySet(models.QuerySet["Process"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The processes of the machines that a bearer may see."""
        return self.filter(visible_machines(bearer, "machine__license"))

    def with_api_fields(self) -> Self:
        """Processes with their machine, its license and the policy."""
        return self.select_related("machine__license__policy")

    def dead(self, now: Moment) -> Self:
        """Processes that are dead at a time. Every process is monitored (contract: machines 6.6)."""
        return self._with_heartbeat_end().filter(heartbeat_end__lt=now)

    def with_status(self, status: str, now: Moment) -> Self:
        """Processes that are `ALIVE`, or `DEAD`; none with any other status."""
        if status == ALIVE:
            return self._with_heartbeat_end().filter(heartbeat_end__gte=now)
        return self.dead(now) if status == DEAD else self.none()

    def to_cull(self, now: Moment) -> Self:
        """Dead processes that no heartbeat can revive and whose policy gives up their seats."""
        return self._with_revival_end().filter(self._is_to_cull(now))

    def with_seats(self, now: Moment) -> Self:
        """Processes that count for limits: all but those to cull."""
        return self._with_revival_end().exclude(self._is_to_cull(now))

    def _is_to_cull(self, now: Moment) -> Q:
        policies = Q(machine__license__policy__heartbeat_cull_strategy=Literal("DEACTIVATE_DEAD"))
        return policies & revival_is_over("machine__license__policy", now)

    def _with_heartbeat_end(self) -> Self:
        return self.alias(heartbeat_end=heartbeat_end(F("last_heartbeat"), "machine__license__policy"))

    def _with_revival_end(self) -> Self:
        return self.alias(revival_end=revival_end(F("last_heartbeat"), "machine__license__policy"))
