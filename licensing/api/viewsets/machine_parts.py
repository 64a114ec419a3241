"""Components and processes of machines over HTTP (contract: machines 8, 9)."""

from collections.abc import Iterable
from typing import Any

from rest_framework.decorators import action

from accounts.api.base import APIViewSet
from accounts.permissions import Forbidden
from keygen_site.jsonapi.lookups import Parent
from keygen_site.jsonapi.operations import OWN, RESOURCE, Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.machine_filters import ComponentFilterSet, MachineProcessFilterSet, ProcessFilterSet
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.serializers.machines import ComponentSerializer, MachineSerializer, ProcessSerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.machine_base import require_holder
from licensing.api.viewsets.machine_relationships import license_of
from licensing.heartbeats import ProcessHeartbeatDead
from licensing.machine_parts import add_component, add_process
from licensing.models import Component, License, Machine, Process, Product

Part = Component | Process

# The actions on components and processes that users may take if they own the machine or its license.
FOR_HOLDERS = frozenset({"partial_update", "destroy", "ping"})
_MACHINES = Machine.objects.with_api_fields()


class PartViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """Base of the viewsets of components and of processes."""

    def authorize(self, row: Part | None = None) -> None:
        super().authorize(row)
        if row is not None and self.actor.role == "user" and self.action in FOR_HOLDERS:
            require_holder(self.actor, row.machine)

    def withheld(self) -> Iterable[str]:
        if self.action == "partial_update" and self.actor.role in ("license", "user"):
            return ["/data/attributes/metadata"]
        return ()

    def check_relationships(self, document: Values) -> None:
        bearer, machine = self.actor, document.values.get("machine")
        if machine is None and not bearer.is_staff:
            raise Forbidden
        if machine is not None and bearer.role == "user":
            require_holder(bearer, machine)

    @operation(
        "Create {a}",
        takes=RESOURCE,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=True,
        document_first=True,
    )
    def create(self, request: APIRequest, document: Values) -> Any:
        self.check_relationships(document)
        values = {"machine": None} | document.values | self.defaults()
        return self.create_row(values | {"missing": document.missing})

    @action(detail=True)
    @operation("Show the machine of {a}", permission="machine.read", gives=MachineSerializer)
    def machine(self, request: APIRequest, part: Part) -> Machine:
        return part.machine

    @action(detail=True)
    @operation("Show the license of {a}", permission="license.read", gives=LicenseSerializer)
    def license(self, request: APIRequest, part: Part) -> License:
        return license_of(part.machine)

    @action(detail=True)
    @operation("Show the product of {a}", permission="product.read", gives=ProductSerializer)
    def product(self, request: APIRequest, part: Part) -> Product:
        return part.machine.license.product


class ComponentViewSet(PartViewSet):
    """The components of the machines of an account (contract: machines 8)."""

    queryset = Component.objects.with_api_fields()
    serializer_class = ComponentSerializer
    filterset_class = ComponentFilterSet

    def create_row(self, values: dict[str, Any]) -> Component:
        return add_component(audit=self._audit(""), **values)


class ProcessViewSet(PartViewSet):
    """The processes of the machines of an account (contract: machines 9)."""

    queryset = Process.objects.with_api_fields()
    serializer_class = ProcessSerializer
    filterset_class = ProcessFilterSet

    def create_row(self, values: dict[str, Any]) -> Process:
        return add_process(audit=self._audit(""), **values)

    @action(detail=True, methods=["post"], url_path="actions/ping")
    @operation(
        "Send a heartbeat of a process",
        permission="process.heartbeat.ping",
        gives=ProcessSerializer,
        locks=False,
        idempotent=False,
        records="",
        errors=(ProcessHeartbeatDead,),
    )
    def ping(self, request: APIRequest, process: Process) -> Process:
        """A process is dead without another one within its `interval`. A dead one is revived if its policy permits
        it."""
        process.ping()
        return process


class MachineComponentViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """The components of a machine."""

    queryset = Component.objects.with_api_fields()
    serializer_class = ComponentSerializer
    parent = Parent("machine", _MACHINES, narrow=lambda parts, machine_id: parts.filter(machine=machine_id))


class MachineProcessViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """The processes of a machine."""

    queryset = Process.objects.with_api_fields()
    serializer_class = ProcessSerializer
    filterset_class = MachineProcessFilterSet
    parent = Parent("machine", _MACHINES, narrow=lambda parts, machine_id: parts.filter(machine=machine_id))
