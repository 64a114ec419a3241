"""Machines over HTTP (contract: machines 1, 3, 4)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.decorators import action

from accounts.api.base import APIViewSet, OwnOnly
from accounts.models import User
from accounts.permissions import Forbidden, require
from accounts.roles import MANAGERS
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.operations import OWN, RESOURCE, Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.versions import LAST_WITH_LATE_HEARTBEATS
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin
from licensing.activation import activate_machine, change_machine, deactivate_machine
from licensing.api.machine_filters import (
    AllMachineFilterSet,
    LicenseMachineFilterSet,
    ProductMachineFilterSet,
    UserMachineFilterSet,
)
from licensing.api.serializers.machines import MachineSerializer
from licensing.api.viewsets.license_base import LicenseAddressed
from licensing.api.viewsets.machine_base import license_token_id, require_activation
from licensing.api.viewsets.machine_files import MachineFiles
from licensing.api.viewsets.machine_relationships import MachineRelationships
from licensing.api.viewsets.nested import StaffAndProductOnly
from licensing.heartbeats import ALIVE, NOT_STARTED, MachineHeartbeatDead
from licensing.models import License, Machine, Product

MAX_COMPONENTS = 20  # of a new machine
# Only managers choose the group of a new machine, and change these attributes (contract: machines 3.1, 4.3).
MANAGER_ATTRIBUTES = ("cores", "memory", "disk", "metadata")
# The filters for which there are indexes in the order of lists, or that find a few machines.
INDEXED_FILTERS = frozenset({"license", "key", "product", "owner", "user", "group", "fingerprint"})


class TooManyComponents(DomainError):
    """A new machine brings more than 20 components along (contract: machines 3.2)."""

    detail = "too many records"


class MachineViewSet(CreateMixin, RetrieveMixin, DestroyMixin, ListMixin, MachineFiles, MachineRelationships):
    """The machines of an account (contract: machines 1)."""

    filterset_class = AllMachineFilterSet

    def get_queryset(self) -> Rows:
        given = {
            name for name, value in self.request.query_params.items() if str(value).strip()
        }  # others do not filter
        if INDEXED_FILTERS.isdisjoint(given):
            return super().get_queryset()
        return self.rows(self.action, timezone.now()).narrowed_visible_to(self.actor)

    # Activation and deactivation -------------------------------------------------------------------------------------

    def withheld(self) -> Iterable[str]:
        if self.action not in ("create", "partial_update"):
            return super().withheld()
        if self.actor.role in MANAGERS:
            return ()
        if self.action == "create":  # a support agent is refused as one who activates nothing
            return [] if self.actor.role == "support-agent" else ["/data/relationships/group"]
        return [f"/data/attributes/{name}" for name in MANAGER_ATTRIBUTES]

    def read_document(self, row: Machine | None) -> Any:
        document = super().read_document(row)
        if self.action == "create" and len(document.values.get("components", ())) > MAX_COMPONENTS:
            raise TooManyComponents
        return document

    def check_relationships(self, document: Values) -> None:
        bearer, values = self.actor, document.values
        license = values.get("license")
        if values.get("components"):
            require("component.create", bearer)
        if bearer.role == "user":
            require_activation(bearer, license, values.get("owner"))
        elif license is None and not bearer.is_staff:
            raise Forbidden
        if "owner" in document.missing and not bearer.is_staff:
            # A user whom the bearer does not see is no user of the license, whether or not they exist.
            document.missing.remove("owner")
            values["owner"] = User()
        # The service reports missing relationships together with the machine's other errors.

    def create_row(self, values: dict[str, Any]) -> Machine:
        values.setdefault("license", None)
        return activate_machine(audit=self._audit(""), token_id=license_token_id(self.request), **values)

    @operation(
        "Activate a license on a machine",
        takes=RESOURCE,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=True,
        document_first=True,
        errors=(TooManyComponents,),
    )
    def create(self, request: APIRequest, document: Values) -> Machine:
        """The limits of the license hold, however many machines are activated at the same time. A machine that is
        activated already is refused with `FINGERPRINT_TAKEN`."""
        self.check_relationships(document)
        return self.create_row(document.values | self.defaults() | {"missing": document.missing})

    def _response(self, result: Any) -> HttpResponseBase:
        response = super()._response(result)
        if self.action == "create" and self.request.version <= LAST_WITH_LATE_HEARTBEATS:
            attributes = cast(Any, response).data["attributes"]
            if attributes["heartbeatStatus"] == ALIVE:
                attributes |= {"heartbeatStatus": NOT_STARTED, "lastHeartbeat": None}
        return response

    @operation("Change a machine", takes=RESOURCE, gives=OWN, locks=True)
    def partial_update(self, request: APIRequest, machine: Machine, document: Values) -> Machine:
        """Attributes that the document omits keep their values. A change of a limited value checks the limits."""
        change_machine(machine, document.values, self._audit(""))
        return machine

    @operation("Deactivate a machine", locks=True)
    def destroy(self, request: APIRequest, machine: Machine) -> None:
        """Deletes the machine with its components and processes."""
        deactivate_machine(machine, license_token_id(request))

    # Heartbeats: not recorded, as they are uses rather than changes by people ----------------------------------------

    @action(detail=True, methods=["post"], url_path="actions/ping")
    @operation(
        "Send a heartbeat of a machine",
        permission="machine.heartbeat.ping",
        gives=MachineSerializer,
        locks=False,
        idempotent=False,
        records="",
        errors=(MachineHeartbeatDead,),
    )
    def ping(self, request: APIRequest, machine: Machine) -> Machine:
        """From the first one on, the machine is dead without another one within its `heartbeatDuration`. A dead machine
        is revived if its policy permits it."""
        machine.ping()
        return machine

    @action(detail=True, methods=["post"], url_path="actions/ping-heartbeat")
    @operation(
        "Send a heartbeat of a machine, by its earlier name",
        permission="machine.heartbeat.ping",
        gives=MachineSerializer,
        locks=False,
        idempotent=False,
        records="",
        deprecated=True,
        errors=(MachineHeartbeatDead,),
    )
    def ping_heartbeat(self, request: APIRequest, machine: Machine) -> Machine:
        """As `ping`."""
        machine.ping()
        return machine

    @action(detail=True, methods=["post"], url_path="actions/reset")
    @operation(
        "Reset the heartbeats of a machine",
        permission="machine.heartbeat.reset",
        gives=MachineSerializer,
        locks=True,
        idempotent=False,
        records="heartbeat-reset",
    )
    def reset(self, request: APIRequest, machine: Machine) -> Machine:
        """The machine has not started then. If its policy requires heartbeats, it has a whole `heartbeatDuration` for
        the first one."""
        machine.reset_heartbeat()
        return machine

    @action(detail=True, methods=["post"], url_path="actions/reset-heartbeat")
    @operation(
        "Reset the heartbeats of a machine, by its earlier name",
        permission="machine.heartbeat.reset",
        gives=MachineSerializer,
        locks=True,
        idempotent=False,
        records="heartbeat-reset",
        deprecated=True,
    )
    def reset_heartbeat(self, request: APIRequest, machine: Machine) -> Machine:
        """As `reset`."""
        machine.reset_heartbeat()
        return machine


class NestedMachineViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """Machines below another resource."""

    queryset = Machine.objects.with_api_fields()
    serializer_class = MachineSerializer

    @classmethod
    def visible(cls, action: str, bearer: Any, parent_id: UUID | None, now: datetime) -> Rows:
        rows = cls.rows(action, now).narrowed_visible_to(bearer)
        return cls.parent.narrow(rows, parent_id)  # type: ignore[union-attr, arg-type]


class LicenseMachineViewSet(LicenseAddressed, NestedMachineViewSet):
    """The machines of a license."""

    filterset_class = LicenseMachineFilterSet
    parent = Parent(
        "license",
        License.objects.select_related("policy", "owner"),
        narrow=lambda machines, license_id: machines.filter(license=license_id),
    )


class ProductMachineViewSet(StaffAndProductOnly, NestedMachineViewSet):
    """The machines of a product."""

    filterset_class = ProductMachineFilterSet
    parent = Parent(
        "product",
        Product.objects.all(),
        narrow=lambda machines, product_id: machines.filter(product=product_id),
    )


class UserMachineViewSet(OwnOnly, NestedMachineViewSet):
    """The machines of licenses that a user owns or is attached to."""

    filterset_class = UserMachineFilterSet
    parent = Parent("user", User.objects.all(), narrow=lambda machines, user_id: machines.for_user(user_id))
