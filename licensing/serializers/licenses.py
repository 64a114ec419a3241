from operator import attrgetter

from rest_framework import serializers

from accounts.models import User
from keygen_site.serializers import ACCOUNT, ResourceSerializer, VisibleRelatedField, to_many, to_one
from licensing.models import License, Policy

LIMITS = ("max_machines", "max_processes", "max_users", "max_cores", "max_memory", "max_disk", "max_uses")


def users_meta(license):
    """How many may use the license: those attached, and the owner (contract: licenses 2.3)."""
    return {"count": license.attached_users + (1 if license.owner_id else 0)}


def no_machines(license):
    """Machines are not built; a license has none."""
    return {"cores": 0, "memory": 0, "disk": 0, "count": 0}


class AccountField(VisibleRelatedField):
    """A relationship to any row of the account, whether or not the bearer may look at it.

    `only_for`: the roles that it is so for; for all others only what they may see.
    """

    def __init__(self, *, only_for=None, **options):
        self.only_for = only_for
        super().__init__(**options)

    def find(self, uuid, bearer):
        if self.only_for and bearer.role not in self.only_for:
            return super().find(uuid, bearer)
        return self.queryset.filter(account=bearer.account_id, pk=uuid).first()


class LicenseSerializer(ResourceSerializer):
    """A license on the wire (contract: licenses 2)."""

    scheme = serializers.ReadOnlyField(source="policy.scheme")
    encrypted = serializers.ReadOnlyField(source="policy.encrypted")
    strict = serializers.ReadOnlyField(source="policy.strict")
    floating = serializers.ReadOnlyField(source="policy.floating")
    require_heartbeat = serializers.ReadOnlyField(source="policy.require_heartbeat")
    require_check_in = serializers.ReadOnlyField(source="policy.require_check_in")
    next_check_in = serializers.DateTimeField(read_only=True)
    # A user asks for the first license under a policy, and a product makes one for a user, that they do not see yet.
    policy = AccountField(queryset=Policy.objects.select_related("account", "product"), only_for=["user"])
    owner = AccountField(queryset=User.objects.all(), allow_null=True)

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
        ]
        on_create = ["name", "key", "protected", "expiry", "suspended", *LIMITS, "metadata", "policy", "owner"]
        on_update = []
        required = ["policy"]
        client_ids = True

    @classmethod
    def getter(cls, name, source):
        """A license's own value where it has one, else its policy's (contract: licenses 2.1, 3.7)."""
        own, of_policy = super().getter(name, source), attrgetter(f"policy.{name}")
        if name in LIMITS:
            return lambda license: own(license) or of_policy(license)
        if name == "protected":
            return lambda license: of_policy(license) if license.protected is None else license.protected
        return own
