"""Check-out of machines: the machine file (contract: machines 7.1)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.api.serializers.groups import GroupSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.bearers import Bearer
from accounts.models import User
from licensing.api.serializers.check_out import (
    AlgorithmInvalid,
    CheckOutOptions,
    EncryptionNotSupported,
    add_resources,
    check_out_members,
    check_out_parameters,
    file_object,
    file_schema,
    included_with_license,
    linkage_of,
    parse_check_out,
    render_document,
)
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.serializers.machines import ComponentSerializer, MachineSerializer
from licensing.license_files import MACHINE_FILE
from licensing.models import License, Machine

# The resources that a file may include, and the permission that each needs. Environments are not supported: there are
# none to include.
MACHINE_INCLUDES = {
    "license": "license.read",
    "license.entitlements": "entitlement.read",
    "license.product": "product.read",
    "license.policy": "policy.read",
    "license.owner": "user.read",
    "license.users": "user.read",
    "owner": "user.read",
    "components": "component.read",
    "group": "group.read",
    "environment": "machine.read",
}
MACHINE_PARAMETERS = check_out_parameters(MACHINE_INCLUDES, "the license's key followed by the fingerprint")
MACHINE_CHECK_OUT = check_out_members(MACHINE_INCLUDES, MACHINE_PARAMETERS)
MACHINE_FILE_SCHEMA = file_schema("machine", MACHINE_INCLUDES)
# Included after the resources of the machine, in this order, not in that of the request.
_OF_LICENSE = ("product", "policy", "owner", "users", "entitlements")


def parse_machine_check_out(given: Mapping[str, Any], license: License, now: datetime) -> CheckOutOptions:
    """The given options, by name, with defaults for the others.

    Raises:
        BadRequest: the first option that is invalid.
    """
    try:
        return parse_check_out(given, license, now, MACHINE_INCLUDES)
    except EncryptionNotSupported:
        raise AlgorithmInvalid("encryption is not supported for a legacy encrypted license") from None


def render_machine_file(
    machine: Machine, license: License, options: CheckOutOptions, version: str, bearer: Bearer
) -> str:
    """The text of a machine file in the form of an API version, with the included resources that a bearer may see.

    Args:
        license: the machine's, with the fields that the API shows.
    """
    data = MachineSerializer.resource_object(machine)
    included: dict[str, dict[str, Any]] = {}  # by id: each resource once
    names = set(options.includes)
    if "group" in names and machine.group:
        add_resources(included, [GroupSerializer.resource_object(machine.group)])
    if any(name.startswith("license") for name in names):
        included[str(license.pk)] = LicenseSerializer.resource_object(license)
    if "owner" in names and machine.owner_id:
        owners = User.objects.with_activity(options.issued).visible_to(bearer).filter(pk=machine.owner_id)
        add_resources(included, [UserSerializer.resource_object(owner) for owner in owners])
    if "components" in names:
        components = machine.components.with_api_fields()
        shown = [ComponentSerializer.resource_object(component) for component in components]
        data["relationships"]["components"]["data"] = linkage_of(shown)
        add_resources(included, shown)
    for name in _OF_LICENSE:
        if f"license.{name}" in names:
            resources = included_with_license(license, name, options.issued, bearer)
            if name in ("users", "entitlements"):
                included[str(license.pk)]["relationships"][name]["data"] = linkage_of(resources)
            add_resources(included, resources)
    document: dict[str, Any] = {"data": data}
    if included:
        document["included"] = list(included.values())
    document["meta"] = options.meta
    secret = license.key + machine.fingerprint
    return render_document(MACHINE_FILE, document, machine.account_id, options, version, secret)


def machine_file_object(machine: Machine, license: License, options: CheckOutOptions, text: str) -> dict[str, Any]:
    """A machine file as a resource object."""
    return file_object("machine", options, text, {"license": license, "machine": machine})
