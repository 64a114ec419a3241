from operator import methodcaller

from rest_framework import serializers

from accounts.models import User
from keygen_site.jsonapi.openapi.schemas import LINK, objects, or_null
from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    ACCOUNT_PATH,
    ResourceSerializer,
    VisibleRelatedField,
    to_many,
    to_one,
)
from keygen_site.jsonapi.versions import RenamedRelationship, VersionedSerializer
from licensing.models import License, LicenseUser, Policy

LIMITS = ("max_machines", "max_processes", "max_users", "max_cores", "max_memory", "max_disk", "max_uses")


def users_meta(license):
    """How many may use the license: those attached, and the owner (contract: licenses 2.3)."""
    return {"count": license.users_count}


def no_machines(license):
    """Machines are not built; a license has none."""
    return {"cores": 0, "memory": 0, "disk": 0, "count": 0}


class AccountField(VisibleRelatedField):
    """A relationship to any row of the account, whether or not the bearer may look at it.

    `only_for`: the roles that it is so for; for all others only what they may see.
    """

    def __init__(self, *, only_for, **options):
        self.only_for = only_for
        super().__init__(**options)

    def find(self, uuid, bearer):
        if bearer.role not in self.only_for:
            return super().find(uuid, bearer)
        return self.queryset.filter(account=bearer.account_id, pk=uuid).first()


class LicenseSerializer(VersionedSerializer):
    """A license on the wire (contract: licenses 2)."""

    protected = serializers.BooleanField(required=False)  # null is no word for it: without one, it is the policy's

    scheme = serializers.ReadOnlyField(source="policy.scheme")
    encrypted = serializers.ReadOnlyField(source="policy.encrypted")
    strict = serializers.ReadOnlyField(source="policy.strict")
    floating = serializers.ReadOnlyField(source="policy.floating")
    require_heartbeat = serializers.ReadOnlyField(source="policy.require_heartbeat")
    require_check_in = serializers.ReadOnlyField(source="policy.require_check_in")
    next_check_in = serializers.DateTimeField(read_only=True)
    # A user asks for the first license under a policy that they do not see yet.
    policy = AccountField(queryset=Policy.objects.select_related("account", "product"), only_for=["user"])
    # Staff name anyone. A product sees, and names, the account's customers: the owner's tokens come into its reach.
    owner = VisibleRelatedField(queryset=User.objects.all(), allow_null=True)
    user = VisibleRelatedField(queryset=User.objects.all(), allow_null=True, source="owner")  # as it was called before

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "policy": to_one("policies", "policy_id"),
        "group": to_one("groups", None),
        "owner": to_one("users", "owner_id"),
        "users": to_many(users_meta),
        "machines": to_many(no_machines),
        "tokens": to_many(),
        "entitlements": to_many(),
    }
    aliases = frozenset({"user"})
    renamed_relationships = (RenamedRelationship("user", now="owner", until="1.5"),)

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
            *LIMITS,
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
        ]
        on_create = ["name", "key", "protected", "expiry", "suspended", *LIMITS, "metadata", "policy", "owner", "user"]
        on_update = ["name", "expiry", "protected", "suspended", *LIMITS, "metadata"]
        required = ["policy"]
        # A blank key is a mistake of the client, not a wish for a generated one (contract: keys 0.3).
        extra_kwargs = {"key": {"allow_blank": False}}
        client_ids = True

    @classmethod
    def describe(cls, members):
        attributes = members["attributes"]
        attributes["required"].remove("key")  # of one that is hidden only who made it knows it
        attributes["properties"]["nextCheckIn"] = or_null(attributes["properties"]["nextCheckIn"])

    @classmethod
    def getter(cls, name, source):
        """A license's own value where it has one, else its policy's (contract: licenses 2.1, 3.7)."""
        if name in LIMITS:
            return methodcaller("limit", name)
        return super().getter(name, "is_protected" if name == "protected" else source)

    @classmethod
    def resource_object(cls, row):
        shown = super().resource_object(row)
        if row.policy.encrypted:
            # Nobody knows such a key but who was told when it was made.
            if row.revealed:
                shown["attributes"]["key"] = row.revealed
            else:
                del shown["attributes"]["key"]
        return shown

    def is_valid(self, *, raise_exception=False):
        super().is_valid(raise_exception=raise_exception)
        values = self._validated_data
        if "user" in values:
            values.setdefault("owner", values.pop("user"))
        former = any(self.version <= then.until for then in self.renamed_relationships)
        self.missing = [("user" if former else "owner") if name in ("owner", "user") else name for name in self.missing]
        return True


class LicenseUserSerializer(ResourceSerializer):
    """That a user is attached to a license, on the wire (contract: licenses 8.5)."""

    relationships = {
        "account": ACCOUNT,
        "license": to_one("licenses", "license_id", direct=True),
        "user": to_one("users", "user_id", direct=True),
    }

    class Meta:
        model = LicenseUser
        fields = ["created", "updated"]
        on_create = on_update = required = []

    @classmethod
    def resource_object(cls, row):
        path = f"{ACCOUNT_PATH.format(row.account_id)}/licenses/{row.license_id}/users/{row.user_id}"
        return super().resource_object(row) | {"links": {"related": path}}

    @classmethod
    def describe(cls, members):
        members["links"] = objects({"related": LINK})
