"""The resources that a machine is related to (contract: machines 4.5)."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.decorators import action

from accounts.api.serializers.groups import GROUP, GroupSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.groups import read_group
from accounts.api.viewsets.users import find_user
from accounts.models import Group, User
from accounts.models.activity import name_of
from keygen_site.db.compiled_queries import CompiledQuery, sample_uuid
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.operations import Gives, operation
from keygen_site.jsonapi.request_documents import identifier
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.models import must_exist
from licensing.activation import change_machine_owner
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.serializers.machines import MachineSerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.machine_base import MachineBase
from licensing.models import License, Machine, Product

_LICENSE: CompiledQuery[License] = CompiledQuery(
    lambda uuid: License.objects.with_api_fields().filter(pk=uuid), sample_uuid()
)
_OWNER = {"data": identifier("users", "user", nullable=True)}


def license_of(machine: Machine) -> License:
    """The license of a machine, with the fields that the API shows."""
    return _LICENSE.first(machine.license_id) or machine.license


class MachineRelationships(MachineBase):
    """Mixin of the viewset of machines: the resources that a machine is related to."""

    # These show `owner` in every version (contract: machines 14).
    with_current_relationships = frozenset({"change_owner", "reset", "reset_heartbeat"})

    @action(detail=True)
    @operation("Show the product of a machine", permission="product.read", gives=ProductSerializer)
    def product(self, request: APIRequest, machine: Machine) -> Product:
        return machine.license.product

    @action(detail=True)
    @operation("Show the license of a machine", permission="license.read", gives=LicenseSerializer)
    def license(self, request: APIRequest, machine: Machine) -> License:
        return license_of(machine)

    @action(detail=True)
    @operation("Show the owner of a machine", permission="user.read", gives=Gives(UserSerializer, nullable=True))
    def owner(self, request: APIRequest, machine: Machine) -> User | None:
        return find_user(machine.owner_id, self.actor)

    @owner.mapping.put
    @owner.mapping.patch
    @operation(
        "Give a machine another owner, or none",
        permission="machine.owner.update",
        takes=_OWNER,
        gives=MachineSerializer,
        locks=True,
        records="owner-changed",
    )
    def change_owner(self, request: APIRequest, machine: Machine, document: dict[str, Any]) -> Machine:
        """The owner is a user of the license. Where users have own limits, the sums of the new owner are checked."""
        linked = document["data"]
        owner = linked and MachineSerializer.find_related("owner", linked["id"], request.user)
        if linked and owner is None:
            raise ValidationError({"owner": must_exist()})
        change_machine_owner(machine, owner, self._audit(""))
        self.activity_details = {"to": name_of(owner)}
        return machine

    @action(detail=True, url_path="user")
    @operation(
        "Show the owner of a machine's license",
        permission="user.read",
        gives=Gives(UserSerializer, nullable=True),
        deprecated=True,
    )
    def license_owner(self, request: APIRequest, machine: Machine) -> User | None:
        """Up to version 1.5 a machine had no owner, but its license's user."""
        return find_user(machine.license.owner_id, self.actor)

    @action(detail=True)
    @operation("Show the group of a machine", permission="group.read", gives=GroupSerializer)
    def group(self, request: APIRequest, machine: Machine) -> Group:
        """A machine without a group is 404."""
        if machine.group is None:
            raise NotFound("The requested group was not found")
        return machine.group

    @group.mapping.put
    @group.mapping.patch
    @operation(
        "Move a machine to a group, or out of its group",
        permission="machine.group.update",
        takes=GROUP,
        gives=MachineSerializer,
        locks=True,
        document_first=True,
        records="group-changed",
    )
    def change_group(self, request: APIRequest, machine: Machine, document: dict[str, Any]) -> Machine:
        group = read_group(document, self.actor)
        machine.change_group(group)
        self.activity_details = {"to": name_of(group)}
        return machine
