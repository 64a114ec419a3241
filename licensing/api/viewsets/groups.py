"""The licenses and machines of a group over HTTP."""

from accounts.api.viewsets.groups import GroupContents
from licensing.api.viewsets.machines import NestedMachineViewSet
from licensing.api.viewsets.nested import NestedLicenseViewSet


class GroupLicenseViewSet(GroupContents, NestedLicenseViewSet):
    """The licenses that belong to a group (contract: entitlements-groups 9)."""

    read_permission = "group.licenses.read"


class GroupMachineViewSet(GroupContents, NestedMachineViewSet):
    """The machines that belong to a group (contract: entitlements-groups 9)."""

    read_permission = "group.machines.read"
