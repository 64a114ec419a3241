"""Machines, their components and processes as resource objects (contract: machines 2)."""

from typing import Any

from rest_framework import serializers

from accounts.models import Group, User
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    NestedField,
    Relationship,
    ResourceSerializer,
    VisibleRelatedField,
    to_many,
    to_one,
)
from keygen_site.jsonapi.versions import (
    LAST_WITH_USER,
    ChangedRelationship,
    RenamedRelationship,
    VersionedSerializer,
)
from licensing.api.serializers.licenses import AccountField
from licensing.heartbeats import ALIVE, DEAD, NOT_STARTED, RESURRECTED
from licensing.models import Component, License, Machine, Process

SECTION = Section(
    45,
    "Machines",
    "The devices on which a license is activated, with their components and the processes that run on them. URLs name "
    "a machine by its id or its fingerprint.",
)
_MACHINES = Machine.objects.with_api_fields()


class ComponentSerializer(ResourceSerializer):
    """A component: a named part of a machine with a fingerprint of its own (contract: machines 2.2)."""

    section = SECTION

    machine = VisibleRelatedField(queryset=_MACHINES)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "machine.license.product_id"),
        "license": to_one("licenses", "machine.license_id"),
        "machine": to_one("machines", "machine_id"),
    }

    class Meta:
        model = Component
        fields = ["fingerprint", "name", "created", "updated", "metadata", "machine"]
        on_create = ["fingerprint", "name", "metadata", "machine"]
        on_update = ["name", "metadata"]
        required = ["fingerprint", "name", "machine"]
        descriptions = {
            "fingerprint": "What identifies the component, e.g. a serial number: 1 to 4096 characters, compared "
            "exactly. It must be unique in the machine, or in a wider range by the policy's "
            "`componentUniquenessStrategy`.",
            "name": "The name, for people.",
        }
        examples = {"fingerprint": "BFEBFBFF000906EA", "name": "CPU"}


class ProcessSerializer(ResourceSerializer):
    """A process: a running instance of a program on a machine (contract: machines 2.3)."""

    section = SECTION

    interval = serializers.IntegerField(read_only=True)
    status = serializers.ChoiceField([ALIVE, DEAD, RESURRECTED], read_only=True)
    next_heartbeat = serializers.DateTimeField(read_only=True)
    machine = VisibleRelatedField(queryset=_MACHINES)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "machine.license.product_id"),
        "license": to_one("licenses", "machine.license_id"),
        "machine": to_one("machines", "machine_id"),
    }

    class Meta:
        model = Process
        fields = [
            "last_heartbeat",
            "next_heartbeat",
            "interval",
            "status",
            "pid",
            "created",
            "updated",
            "metadata",
            "machine",
        ]
        on_create = ["pid", "metadata", "machine"]
        on_update = ["metadata"]
        required = ["pid", "machine"]
        client_ids = True
        descriptions = {
            "last_heartbeat": "When the process last pinged; at first when it was created.",
            "next_heartbeat": "When the process is dead without another ping.",
            "interval": "The seconds after which it is dead without a ping: the machine's `heartbeatDuration`.",
            "status": "`ALIVE`, `DEAD`, or `RESURRECTED` in the response to the ping that revived it.",
            "pid": "What identifies the process on its machine, as a text: 1 to 4096 characters, compared exactly.",
        }
        examples = {"pid": "1337", "interval": 600, "status": ALIVE}

    @classmethod
    def error_prefix(cls) -> str:
        return "machine_process"


class MachineSerializer(VersionedSerializer):
    """A machine: a device on which a license is activated (contract: machines 2.1)."""

    section = SECTION

    require_heartbeat = serializers.BooleanField(read_only=True)
    heartbeat_status = serializers.ChoiceField([NOT_STARTED, ALIVE, DEAD, RESURRECTED], read_only=True)
    heartbeat_duration = serializers.IntegerField(read_only=True)
    max_processes = serializers.IntegerField(read_only=True, allow_null=True)
    next_heartbeat = serializers.DateTimeField(read_only=True, allow_null=True)
    # Whether a user may activate a license depends on the machine's owner too, so the view decides.
    license = AccountField(queryset=License.objects.select_related("policy"), only_for=["user"])
    owner = VisibleRelatedField(queryset=User.objects.all(), allow_null=True)
    group = VisibleRelatedField(queryset=Group.objects.all(), allow_null=True)
    components = NestedField(ComponentSerializer)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "license.product_id"),
        "group": to_one("groups", "group_id", description="The group that the machine belongs to, or null."),
        "license": to_one("licenses", "license_id"),
        "owner": to_one("users", "owner_id", description="The user of the license whose machine it is, or null."),
        "components": to_many(description="The components of the machine. A new machine may bring up to 20 along."),
        "processes": to_many(description="The processes of the machine."),
    }
    aliases = frozenset({"policy"})  # in the errors of an unknown license
    about = {
        "activations": "tokens/#tokens-object-attrs-activations",
        "deactivations": "tokens/#tokens-object-attrs-deactivations",
    }
    renamed_relationships = (RenamedRelationship("user", now="owner", until=LAST_WITH_USER),)

    class Meta:
        model = Machine
        fields = [
            "fingerprint",
            "cores",
            "memory",
            "disk",
            "ip",
            "hostname",
            "platform",
            "name",
            "require_heartbeat",
            "heartbeat_status",
            "heartbeat_duration",
            "max_processes",
            "last_check_out",
            "last_heartbeat",
            "next_heartbeat",
            "metadata",
            "created",
            "updated",
            "license",
            "owner",
            "group",
            "components",
        ]
        on_create = [
            "fingerprint",
            "name",
            "ip",
            "hostname",
            "platform",
            "cores",
            "memory",
            "disk",
            "metadata",
            "license",
            "owner",
            "group",
            "components",
        ]
        on_update = ["name", "ip", "hostname", "platform", "cores", "memory", "disk", "metadata"]
        required = ["fingerprint", "license"]
        client_ids = True
        descriptions = {
            "fingerprint": "What identifies the machine, e.g. a hash of serial numbers: 1 to 4096 characters, compared "
            "exactly. It must be unique in the license, or in a wider range by the policy's "
            "`machineUniquenessStrategy`.",
            "cores": "The number of CPU cores, for the license's `maxCores`.",
            "memory": "The memory in bytes, for the license's `maxMemory`.",
            "disk": "The disk space in bytes, for the license's `maxDisk`.",
            "ip": "The IP address.",
            "hostname": "The name of the host.",
            "platform": "The operating system and the architecture.",
            "name": "The name, for people.",
            "require_heartbeat": "Whether the machine is dead without pings: its policy requires them, or it has "
            "pinged before.",
            "heartbeat_status": "`NOT_STARTED` before the first ping, `ALIVE`, `DEAD`, or `RESURRECTED` in the "
            "response to the ping that revived it.",
            "heartbeat_duration": "The seconds after which the machine is dead without a ping: the policy's, or 600.",
            "max_processes": "The license's `maxProcesses`; null: no limit.",
            "last_check_out": "When a machine file was last checked out; null: never.",
            "last_heartbeat": "When the machine last pinged; null: never.",
            "next_heartbeat": "When the machine is dead without another ping; null before the first one.",
        }
        examples = {
            "fingerprint": "4d:Eq:UV:D3:XZ:tL:WN:Bz",
            "cores": 8,
            "hostname": "bob-pc",
            "platform": "windows/amd64",
            "heartbeat_status": ALIVE,
            "heartbeat_duration": 600,
        }

    @classmethod
    def _relationship_object(cls, row: Machine, path: str, name: str, relationship: Relationship) -> dict[str, Any]:
        shown = super()._relationship_object(row, path, name, relationship)
        if name != "owner":
            return shown
        # Up to version 1.5 machines had no owner, and `user` was the license's.
        user_id = row.license.owner_id
        return ChangedRelationship(shown, earlier_data={"type": "users", "id": str(user_id)} if user_id else None)
