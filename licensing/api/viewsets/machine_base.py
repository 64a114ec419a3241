"""The bases of the viewsets of machines, their components and processes: permissions of users and licenses."""

from typing import cast
from uuid import UUID

from django.core.exceptions import ValidationError

from accounts.api.base import APIViewSet
from accounts.bearers import Bearer
from accounts.models import User
from accounts.permissions import Forbidden
from keygen_site.jsonapi.lookups import Lookup
from keygen_site.jsonapi.requests import APIRequest
from licensing.activation import OWNER_INVALID
from licensing.api.serializers.machines import MachineSerializer
from licensing.models import License, Machine

# The rules for bearers of the role user (contract: machines 10.1). They may take these actions on machines that they
# own, or whose licenses they own:
FOR_HOLDERS = frozenset({"partial_update", "destroy", "ping", "ping_heartbeat"})
# and these only on machines of licenses that they own.
FOR_LICENSE_OWNERS = frozenset({"license_owner", "generate_proof"})
# The actions that users must not take on machines of a protected license.
UNLESS_PROTECTED = FOR_HOLDERS | {"check_out", "check_out_file", "generate_proof"}


# The actions that check limits, of the license or of a group: they lock the license before the machine.
CHECKS_LIMITS = frozenset({"partial_update", "change_owner", "change_group"})
_VISIBLE = Lookup(lambda bearer: Machine.objects.visible_to(bearer).with_api_fields())


class MachineBase(APIViewSet):
    """Base of the viewset of machines and of its mixins."""

    queryset = Machine.objects.with_api_fields()
    serializer_class = MachineSerializer

    def find_row(self, *, locked: bool) -> Machine:
        if self.action in CHECKS_LIMITS and (machine := _VISIBLE.find(self.kwargs["pk"], self.actor)):
            machine.lock_first()
        return cast(Machine, super().find_row(locked=locked))

    def authorize(self, row: Machine | None = None) -> None:
        super().authorize(row)
        bearer = self.actor
        if row is None:
            return
        if bearer.role == "license" and self.action == "partial_update" and row.license.is_protected:
            raise Forbidden
        if bearer.role == "user":
            self._authorize_user(bearer, row)

    def _authorize_user(self, bearer: Bearer, machine: Machine) -> None:
        if self.action in UNLESS_PROTECTED and machine.license.is_protected:
            raise Forbidden
        if self.action in FOR_HOLDERS:
            require_holder(bearer, machine)
        if self.action in FOR_LICENSE_OWNERS and machine.license.owner_id != bearer.id:
            raise Forbidden


def require_holder(bearer: Bearer, machine: Machine) -> None:
    """Refuse a user who owns neither a machine nor its license, or whose license is protected.

    Raises:
        Forbidden: see there.
    """
    is_holder = bearer.id in (machine.owner_id, machine.license.owner_id)
    if machine.license.is_protected or not is_holder:
        raise Forbidden


def require_activation(bearer: Bearer, license: License | None, owner: User | None) -> None:
    """Refuse a user who may not activate a license: users activate their own, and others for themselves.

    Raises:
        Forbidden: the license is protected or does not exist, or another user would own the machine.
        ValidationError: the user is no user of the license. Nothing else about it is told.
    """
    is_owner = license is not None and license.owner_id == bearer.id
    if license is None or license.is_protected or not (is_owner or (owner is not None and owner.pk == bearer.id)):
        raise Forbidden
    if not license.has_user(bearer.id):
        raise ValidationError({"owner": OWNER_INVALID})


def license_token_id(request: APIRequest) -> UUID | None:
    """The id of the license's token that authenticates a request, on which activations are counted, or None."""
    bearer = request.user
    return bearer.token_id if bearer.role == "license" else None
