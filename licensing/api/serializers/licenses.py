"""Licenses, and the users attached to them, as resource objects."""

from collections.abc import Collection, Iterable
from functools import cached_property
from operator import methodcaller
from typing import Any
from uuid import UUID

from django.db import models
from rest_framework import serializers

from accounts.models import Group, User
from keygen_site.db.compiled_queries import Bearer, CompiledQuery, sample_uuid
from keygen_site.jsonapi.openapi.schemas import LINK, object_schema, or_null
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    ACCOUNT_PATH,
    Getter,
    ResourceSerializer,
    Values,
    VisibleRelatedField,
    to_many,
    to_one,
)
from keygen_site.jsonapi.versions import LAST_WITH_USER, RenamedRelationship, VersionedSerializer
from licensing.models import License, LicenseUser, Policy

LIMIT_FIELDS = ("max_machines", "max_processes", "max_users", "max_cores", "max_memory", "max_disk", "max_uses")


def count_users(license: License) -> dict[str, Any]:
    """The owner and the attached users (contract: licenses 2.3)."""
    return {"count": license.users_count}


def count_machines(license: License) -> dict[str, Any]:
    """The sums over the machines, and their number (contract: licenses 2.3)."""
    totals = license.machine_totals
    return {"cores": totals.cores, "memory": totals.memory, "disk": totals.disk, "count": totals.count}


class AccountField(VisibleRelatedField):
    """A relationship to any row of the account, even one that the bearer cannot see.

    Args:
        only_for: the roles for which this holds; other roles reach only rows that they see.
    """

    def __init__(self, *, only_for: Collection[str], **options: Any) -> None:
        self.only_for = only_for
        super().__init__(**options)

    def find(self, uuid: UUID, bearer: Bearer) -> models.Model | None:
        if bearer.role not in self.only_for:
            return super().find(uuid, bearer)
        return self._of_account.first(bearer.account_id, uuid)

    @cached_property
    def _of_account(self) -> CompiledQuery[Any]:
        return CompiledQuery(
            lambda account_id, uuid: self.queryset.filter(account=account_id, pk=uuid), sample_uuid(), sample_uuid()
        )


class LicenseSerializer(VersionedSerializer):
    """A license: a customer's right to use a product under a policy (contract: licenses 2)."""

    section = Section(
        40,
        "Licenses",
        "A customer's right to use a product. Issuing a license under a pooled policy takes the next key of the pool. "
        "URLs name a license by its id or its key.",
    )

    protected = serializers.BooleanField(required=False)  # not null: without a value the policy's applies

    scheme = serializers.ReadOnlyField(source="policy.scheme")
    encrypted = serializers.ReadOnlyField(source="policy.encrypted")
    strict = serializers.ReadOnlyField(source="policy.strict")
    floating = serializers.ReadOnlyField(source="policy.floating")
    require_heartbeat = serializers.ReadOnlyField(source="policy.require_heartbeat")
    require_check_in = serializers.ReadOnlyField(source="policy.require_check_in")
    next_check_in = serializers.DateTimeField(read_only=True)
    # A user may create a license under a policy that they do not see yet.
    policy = AccountField(queryset=Policy.objects.select_related("account", "product"), only_for=["user"])
    # Staff may name any user. A product may name the customers of the account, and then sees their tokens.
    owner = VisibleRelatedField(queryset=User.objects.all(), allow_null=True)
    user = VisibleRelatedField(
        queryset=User.objects.all(), allow_null=True, source="owner"
    )  # the name up to version 1.5
    group = VisibleRelatedField(queryset=Group.objects.all(), allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "policy": to_one("policies", "policy_id"),
        "group": to_one("groups", "group_id", description="The group that the license belongs to, or null."),
        "owner": to_one("users", "owner_id", description="The user who owns the license, or null."),
        "users": to_many(count_users, description="The owner and the attached users."),
        "machines": to_many(count_machines, description="The machines on which the license is activated."),
        "tokens": to_many(description="The tokens of the license."),
        "entitlements": to_many(description="The entitlements of the license and those of its policy."),
    }
    aliases = frozenset({"user"})
    about = {"user": "licenses/#licenses-object-relationships-owner"}
    renamed_relationships = (RenamedRelationship("user", now="owner", until=LAST_WITH_USER),)

    class Meta:
        model = License
        fields = [
            "name",
            "key",
            "expiry",
            "status",
            "uses",
            "suspended",
            "scheme",
            "encrypted",
            "strict",
            "floating",
            "protected",
            "version",
            *LIMIT_FIELDS,
            "require_heartbeat",
            "require_check_in",
            "last_validated",
            "last_check_in",
            "next_check_in",
            "last_check_out",
            "metadata",
            "created",
            "updated",
            "policy",
            "owner",
            "user",
            "group",
        ]
        on_create = [
            "name",
            "key",
            "protected",
            "expiry",
            "suspended",
            *LIMIT_FIELDS,
            "metadata",
            "policy",
            "owner",
            "user",
            "group",
        ]
        on_update = ["name", "expiry", "protected", "suspended", *LIMIT_FIELDS, "metadata"]
        required = ["policy"]
        descriptions = {
            "name": "The name, for people.",
            "key": "The license key, 8 to 1024 characters. By default generated by the policy's scheme. A license "
            "under a pooled policy always takes the next key of the pool. Missing if only the key's hash is stored, "
            "except in the response that creates the license.",
            "expiry": "When the license expires; null: never. By default by the policy's duration.",
            "status": "`BANNED` if its owner is banned; else `SUSPENDED`, `EXPIRED`, `EXPIRING` (within three days), "
            "`INACTIVE` (no activity for 90 days) or `ACTIVE`. It does not decide whether the license is valid.",
            "uses": "How often the license was used, see `increment-usage`.",
            "suspended": "Whether the license is suspended: it is then not valid.",
            "scheme": "The policy's `scheme`.",
            "encrypted": "The policy's `encrypted`.",
            "strict": "The policy's `strict`.",
            "floating": "The policy's `floating`.",
            "protected": "Whether users may not change the license. By default as in the policy.",
            "version": "The version that the last validation with a version named. Releases are not supported: null.",
            "max_machines": "The maximum number of machines; by default the policy's.",
            "max_processes": "The maximum number of processes; by default the policy's.",
            "max_users": "The maximum number of users, with the owner; by default the policy's.",
            "max_cores": "The maximum number of CPU cores; by default the policy's.",
            "max_memory": "The maximum memory in bytes; by default the policy's.",
            "max_disk": "The maximum disk space in bytes; by default the policy's.",
            "max_uses": "The maximum of `uses`; by default the policy's.",
            "require_heartbeat": "The policy's `requireHeartbeat`.",
            "require_check_in": "The policy's `requireCheckIn`.",
            "last_validated": "When the license was last validated; null: never. Stored at most once a second.",
            "last_check_in": "When the license last checked in; null if the policy does not require it.",
            "next_check_in": "When the next check-in is due; null if the policy does not require it.",
            "last_check_out": "When a license file was last checked out; null: never.",
            "user": "The owner's name up to version 1.5.",
        }
        # A blank key is an error of the client rather than a request to generate one (contract: keys 0.3).
        extra_kwargs = {"key": {"allow_blank": False}}
        examples = {"status": "ACTIVE", "metadata": {"order": "4711"}}
        client_ids = True

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        attributes = members["attributes"]
        attributes["required"].remove("key")  # a hashed key is shown only in the response that creates it
        attributes["properties"]["nextCheckIn"] = or_null(attributes["properties"]["nextCheckIn"])

    @classmethod
    def getter(cls, name: str, source: str) -> Getter:
        """A license's own value where it has one, else its policy's (contract: licenses 2.1, 3.7)."""
        if name in LIMIT_FIELDS:
            return methodcaller("effective_limit", name)
        return super().getter(name, "is_protected" if name == "protected" else source)

    @classmethod
    def resource_object(cls, row: License) -> dict[str, Any]:
        shown = super().resource_object(row)
        if row.policy.encrypted:
            # Only the key's hash is stored, so the response that creates the license is the only one with the key.
            if row.revealed:
                shown["attributes"]["key"] = row.revealed
            else:
                del shown["attributes"]["key"]
        return shown

    @classmethod
    def shows_secret(cls, row: License) -> bool:
        return bool(row.revealed)

    @classmethod
    def read(
        cls, body: dict[str, Any], *, creating: bool, bearer: Any, version: str, withheld: Iterable[str] = ()
    ) -> Values:
        found = super().read(_with_owner(body), creating=creating, bearer=bearer, version=version, withheld=withheld)
        owner = owner_name(version)
        order = ["policy", "owner", "group"]
        found.missing = [owner if name == "owner" else name for name in sorted(found.missing, key=order.index)]
        return found


def owner_name(version: str) -> str:
    """The name of the owner in the errors of an API version."""
    return "user" if version <= LAST_WITH_USER else "owner"


def _with_owner(body: Any) -> Any:
    """A document with `owner` in place of `user`, so that its errors are those of `owner` in every version."""
    data = body.get("data") if isinstance(body, dict) else None
    relationships = data.get("relationships") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(relationships, dict) or "user" not in relationships:
        return body
    named = {name: value for name, value in relationships.items() if name != "user"}
    named.setdefault("owner", relationships["user"])
    return body | {"data": data | {"relationships": named}}


class LicenseUserSerializer(ResourceSerializer):
    """The attachment of a user to a license (contract: licenses 8.5)."""

    section = LicenseSerializer.section

    about = {"user": "licenses/#licenses-object-relationships-user"}
    relationships = {
        "account": ACCOUNT,
        "license": to_one("licenses", "license_id", direct=True),
        "user": to_one("users", "user_id", direct=True),
    }

    class Meta:
        model = LicenseUser
        fields = ["created", "updated"]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []

    @classmethod
    def resource_object(cls, row: LicenseUser) -> dict[str, Any]:
        path = f"{ACCOUNT_PATH.format(row.account_id)}/licenses/{row.license_id}/users/{row.user_id}"
        return super().resource_object(row) | {"links": {"related": path}}

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        members["links"] = object_schema({"related": LINK | {"description": "The URL of the user below the license."}})
