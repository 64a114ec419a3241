"""The classes of an export that are kept here, and which of their columns are which fields of our models.

One table for both directions. The values of a column are those of its field, in the types of `pools.moving.format`
(an id is a text), except where the column has functions of its own. A column that is null although its field cannot be
has the field's default.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from django.contrib.auth.hashers import make_password
from django.db.models import Field, Model

from accounts.models import Account, Group, GroupOwner, Setting, User
from licensing.models import (
    Component,
    Entitlement,
    License,
    LicenseEntitlement,
    LicenseUser,
    Machine,
    Policy,
    PolicyEntitlement,
    Process,
    Product,
)
from pools.models import Key
from pools.moving.format import Row
from pools.moving.values import ValueInvalid

# Columns of keygen-api's own bookkeeping, and those that it computes from other rows.
_INTERNAL_ENDINGS = ("_sent_at", "_jid", "_count", "_checksum", "lock_version", "_token", "_unsubscribed_at")
_COMPUTED = {"policy_id", "backend", "concurrent", "sso_organization_domains", "plan_id"}
# The prefix of Django's bcrypt hasher; keygen-api's digest follows it.
BCRYPT_PREFIX = "bcrypt$"
_BCRYPT, _MAX_COST = re.compile(r"\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}"), 15


@dataclass(frozen=True)
class Column:
    """A column of a class that is a field here.

    Attributes:
        name: in the export.
        attname: of the field, e.g. `policy_id`.
        read: the field's value, given the column's, which is not null.
        write: the column's value, given the field's.
        when_null: the field's value in a row whose column is null.
    """

    name: str
    attname: str
    read: Callable[[Any], Any] = lambda value: value
    write: Callable[[Any], Any] = lambda value: value
    when_null: Callable[[Row], Any] | None = None


@dataclass(frozen=True)
class ExportClass:
    """A class of an export, and its model here.

    Attributes:
        name: e.g. `MachineComponent`.
        model: the rows are of this model.
        columns: those that are fields here, without the references to the account.
        unkept: the columns without a field here, and the values that an export from here has there. A function gets the
            row's other columns.
    """

    name: str
    model: type[Model]
    columns: tuple[Column, ...]
    unkept: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def noted(self) -> dict[str, Any]:
        """The columns without a field here whose values matter to people, and the values that do not."""
        return {
            name: value
            for name, value in self.unkept.items()
            if not callable(value) and not name.endswith(_INTERNAL_ENDINGS) and name not in _COMPUTED
        }

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the columns."""
        by_attname = {each.attname: each for each in self.model._meta.concrete_fields}
        return tuple(by_attname[column.attname] for column in self.columns)

    def read(self, row: Row) -> Row:
        """The values of the fields by attname, as a row of the export has them. They are not checked.

        A field is missing if its column is, or if it is null and has no default.
        """
        values: Row = {}
        for column, each in zip(self.columns, self.fields, strict=True):
            value = row.get(column.name)
            if value is not None:
                values[column.attname] = column.read(value)
            elif column.when_null is not None:
                values[column.attname] = column.when_null(row)
            elif each.null:
                values[column.attname] = None
            elif has_default(each):
                values[column.attname] = each.get_default()
        return values

    def write(self, values: Mapping[str, Any], account_id: str) -> Row:
        """A row of the export, given the values of the fields by attname."""
        row = {column.name: column.write(values[column.attname]) for column in self.columns}
        if self.model is not Account:
            row["account_id"] = account_id
        for name, value in self.unkept.items():
            row[name] = value(row) if callable(value) else value
        return row


def has_default(each: Field) -> bool:
    """Whether a column that is null gets the default of its field."""
    return not each.null and each.has_default() and each.attname not in ("id", "created", "updated")


def _same(*names: str) -> tuple[Column, ...]:
    """Columns that have the names of their fields."""
    return tuple(Column(name, name) for name in names)


def _unkept(*names: str, **values: Any) -> dict[str, Any]:
    """Columns without a field here: they are null, or have these values."""
    return dict.fromkeys(names) | values


_RESOURCE = (Column("id", "id"), Column("created_at", "created"), Column("updated_at", "updated"))


def _heartbeat_basis(row: Row) -> str:
    # As `Policy.clean()` sets it; old policies of keygen-api have none.
    return "FROM_CREATION" if row.get("require_heartbeat") else "FROM_FIRST_PING"


def _password_of(digest: object) -> str:
    # A higher cost would let a sign-in take minutes.
    if not isinstance(digest, str) or not _BCRYPT.fullmatch(digest):
        raise ValueInvalid(f"must be a digest of bcrypt with a cost of {_MAX_COST} at most")
    return BCRYPT_PREFIX + digest


def _password_digest(password: str) -> str | None:
    """The digest of bcrypt; None for a password of another scheme, which keygen-api does not know."""
    return password.removeprefix(BCRYPT_PREFIX) if password.startswith(BCRYPT_PREFIX) else None


_LIMITS = ("max_machines", "max_processes", "max_users", "max_cores", "max_memory", "max_disk", "max_uses")

ACCOUNT = ExportClass(
    "Account",
    Account,
    (*_RESOURCE, *_same("name", "slug", "api_version", "protected")),
    _unkept(
        "cname",
        "domain",
        "last_license_limit_exceeded_sent_at",
        "last_low_activity_lifeline_sent_at",
        "last_prompt_for_review_sent_at",
        "last_request_limit_exceeded_sent_at",
        "last_trial_will_end_sent_at",
        "plan_id",
        "slack_accepted_at",
        "slack_channel_id",
        "slack_invited_at",
        "slack_team_id",
        "sso_organization_id",
        "sso_session_duration",
        "subdomain",
        backend="S3",
        sso_external_authn=False,
        sso_idp_initiated_authn=False,
        sso_jit_provisioning=False,
        sso_organization_domains=(),
        sso_sync_roles=False,
    ),
)

# In the order in which their rows can be written: a reference comes after the row that it names.
CLASSES = (
    ACCOUNT,
    ExportClass(
        "Group",
        Group,
        (*_RESOURCE, *_same("name", "max_users", "max_licenses", "max_machines", "metadata")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "User",
        User,
        (
            *_RESOURCE,
            *_same("email", "first_name", "last_name", "metadata", "group_id"),
            Column("banned_at", "banned"),
            Column("password_digest", "password", _password_of, _password_digest, lambda row: make_password(None)),
        ),
        _unkept(
            "environment_id",
            "password_reset_sent_at",
            "password_reset_token",
            "sso_connection_id",
            "sso_idp_id",
            "sso_profile_id",
            "stdout_last_sent_at",
            "stdout_unsubscribed_at",
        ),
    ),
    ExportClass(
        "GroupOwner",
        GroupOwner,
        (*_RESOURCE, *_same("group_id", "user_id")),
        _unkept("environment_id"),
    ),
    ExportClass("AccountSetting", Setting, (*_RESOURCE, *_same("key", "value"))),
    ExportClass(
        "Product",
        Product,
        (*_RESOURCE, *_same("name", "code", "distribution_strategy", "url", "platforms", "metadata")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "Policy",
        Policy,
        (
            *_RESOURCE,
            *_same("product_id", "name", "duration", "strict", "floating", "use_pool", *_LIMITS),
            *_same("machine_uniqueness_strategy", "machine_matching_strategy"),
            *_same("component_uniqueness_strategy", "component_matching_strategy"),
            *_same("expiration_strategy", "expiration_basis", "renewal_basis", "transfer_strategy"),
            *_same("authentication_strategy", "machine_leasing_strategy", "process_leasing_strategy"),
            *_same("overage_strategy", "scheme", "encrypted", "protected"),
            *_same("require_product_scope", "require_policy_scope", "require_machine_scope"),
            *_same("require_fingerprint_scope", "require_components_scope", "require_user_scope"),
            *_same("require_checksum_scope", "require_version_scope"),
            *_same("require_check_in", "check_in_interval", "check_in_interval_count"),
            *_same("heartbeat_duration", "heartbeat_cull_strategy", "heartbeat_resurrection_strategy"),
            Column("heartbeat_basis", "heartbeat_basis", when_null=_heartbeat_basis),
            *_same("require_heartbeat", "metadata"),
        ),
        _unkept(
            "environment_id",
            "fingerprint_matching_strategy",
            "fingerprint_uniqueness_strategy",
            "leasing_strategy",
            concurrent=True,
            lock_version=0,
            require_environment_scope=False,
        ),
    ),
    ExportClass(
        "Entitlement",
        Entitlement,
        (*_RESOURCE, *_same("name", "code", "metadata")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "PolicyEntitlement",
        PolicyEntitlement,
        (*_RESOURCE, *_same("entitlement_id", "policy_id")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "License",
        License,
        (
            *_RESOURCE,
            *_same("product_id", "policy_id", "group_id", "name", "key", "expiry", "uses", "suspended", "protected"),
            Column("user_id", "owner_id"),
            Column("last_validated_at", "last_validated"),
            Column("last_validated_version", "version"),
            Column("last_check_in_at", "last_check_in"),
            Column("last_check_out_at", "last_check_out"),
            *(Column(f"{name}_override", name) for name in _LIMITS),
            *_same("metadata"),
        ),
        _unkept(
            "environment_id",
            "last_check_in_event_sent_at",
            "last_check_in_soon_event_sent_at",
            "last_expiration_event_sent_at",
            "last_expiring_soon_event_sent_at",
            "last_validated_checksum",
            # The exporter sets these: they are sums over other rows.
            license_users_count=0,
            machines_core_count=0,
            machines_count=0,
            machines_disk_count=0,
            machines_memory_count=0,
        ),
    ),
    ExportClass(
        "LicenseUser",
        LicenseUser,
        (*_RESOURCE, *_same("license_id", "user_id")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "LicenseEntitlement",
        LicenseEntitlement,
        (*_RESOURCE, *_same("entitlement_id", "license_id")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "Key",
        Key,
        (*_RESOURCE, *_same("policy_id", "key")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "Machine",
        Machine,
        (
            *_RESOURCE,
            *_same("license_id", "owner_id", "group_id", "fingerprint", "cores", "memory", "disk", "ip"),
            *_same("hostname", "platform", "name", "metadata"),
            Column("last_heartbeat_at", "last_heartbeat"),
            Column("last_check_out_at", "last_check_out"),
        ),
        # The exporter sets `policy_id`: that of the license.
        _unkept("environment_id", "heartbeat_jid", "last_death_event_sent_at", "max_processes_override", "policy_id"),
    ),
    ExportClass(
        "MachineComponent",
        Component,
        (*_RESOURCE, *_same("machine_id", "fingerprint", "name", "metadata")),
        _unkept("environment_id"),
    ),
    ExportClass(
        "MachineProcess",
        Process,
        (*_RESOURCE, *_same("machine_id", "pid", "metadata"), Column("last_heartbeat_at", "last_heartbeat")),
        _unkept("environment_id", "heartbeat_jid", "last_death_event_sent_at"),
    ),
)
BY_NAME: Mapping[str, ExportClass] = {each.name: each for each in CLASSES}

# A role is a row of its own there, and a column of users here; products and licenses have no other role than their own.
ROLE, ROLE_PERMISSION = "Role", "RolePermission"
ROLE_RESOURCES = ("User", "Product", "License")


def role_id(resource_id: UUID) -> UUID:
    """The id of a role in an export from here, where roles are no rows: the same in each export."""
    return uuid5(resource_id, "role")


def read_role(name: str) -> str:
    """The role here, e.g. `sales-agent` of `sales_agent`."""
    return name.replace("_", "-")


def write_role(role: str) -> str:
    """The name of a role in an export."""
    return role.replace("-", "_")
