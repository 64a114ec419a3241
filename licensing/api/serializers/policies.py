"""Policies as resource objects."""

from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, DESCRIPTIONS, VisibleRelatedField, to_many, to_one
from keygen_site.jsonapi.versions import ChangedDefault, RenamedAttribute, VersionedSerializer
from licensing.models import Policy, Product

# The attributes that a client may set, and their meaning.
ATTRIBUTES = {
    "name": "The name, for people.",
    "duration": "How long a license is valid, in seconds; at least 86400 (a day). Null: without end.",
    "strict": (
        "Whether a license needs at least one machine to be valid, and is not valid above its limits of machines. "
        "Activations keep to the limits in any case."
    ),
    "floating": "Whether a license may be used on several machines at a time.",
    "use_pool": (
        "Whether licenses take their keys from the policy's pool of keys made beforehand. Cannot change later, nor "
        "be combined with `encrypted` or `scheme`."
    ),
    "max_machines": "The maximum number of machines of a license; null: no limit. A new policy that is not `floating` "
    "has 1 without it.",
    "max_processes": "The maximum number of processes, see `processLeasingStrategy`; null: no limit.",
    "max_users": "The maximum number of users of a license, with its owner; null: no limit.",
    "max_cores": "The maximum number of CPU cores of a license's machines; null: no limit.",
    "max_memory": "The maximum memory of a license's machines, in bytes; null: no limit.",
    "max_disk": "The maximum disk space of a license's machines, in bytes; null: no limit.",
    "max_uses": "How often a license may be used, see `increment-usage`; null: no limit.",
    "machine_uniqueness_strategy": (
        "Within what the fingerprint of a new machine must be unique. A license cannot change to a policy with a "
        "stricter one."
    ),
    "machine_matching_strategy": "How many of the fingerprints that a validation names must match.",
    "component_uniqueness_strategy": (
        "Within what the fingerprint of a new component must be unique. A license cannot change to a policy with a "
        "stricter one."
    ),
    "component_matching_strategy": "How many of the components that a validation names must match.",
    "expiration_strategy": (
        "What an expired license may do. `RESTRICT_ACCESS`: it is not valid. `REVOKE_ACCESS`: it is not valid and "
        "cannot authenticate. `MAINTAIN_ACCESS` and `ALLOW_ACCESS`: it stays valid, with the code `EXPIRED`."
    ),
    "expiration_basis": (
        "When the time of a license starts: when it is created, or when it is first activated, validated or used. "
        "Downloads do not exist yet."
    ),
    "renewal_basis": "What a renewal adds the duration to: the expiry, now, or now if the license has expired.",
    "transfer_strategy": (
        "Whether a license that moves to this policy keeps its expiry, or gets a new one of the full duration."
    ),
    "authentication_strategy": (
        "How a license may authenticate: with a token (`TOKEN`), its key (`LICENSE`), in a session (`SESSION`, not "
        "supported), in any of these ways (`MIXED`), or not at all (`NONE`)."
    ),
    "machine_leasing_strategy": "Whether the limits of machines hold for a license, or for each owner of machines.",
    "process_leasing_strategy": "Whether the limit of processes holds for a license, for each machine or each user.",
    "overage_strategy": "By how much a license may exceed its limits.",
    "scheme": (
        "How license keys are signed or encrypted, so that they can be verified offline; null: not. Cannot change "
        "later."
    ),
    "encrypted": (
        "Whether only a hash of each license key is stored, for the scheme `LEGACY_ENCRYPT`. Cannot change later."
    ),
    "protected": (
        "Whether only admins, developers, sales agents and products may create and change licenses. By default as "
        "the account is."
    ),
    "require_product_scope": "Whether a validation must name the product.",
    "require_policy_scope": "Whether a validation must name the policy.",
    "require_machine_scope": ("Whether a validation must name a machine."),
    "require_fingerprint_scope": ("Whether a validation must name the fingerprint of a machine."),
    "require_components_scope": ("Whether a validation must name components."),
    "require_user_scope": "Whether a validation must name a user of the license.",
    "require_checksum_scope": (
        "Whether a validation must name the checksum of a release. Releases do not exist yet, so such a license is "
        "not valid."
    ),
    "require_version_scope": (
        "Whether a validation must name a version of a release. Releases do not exist yet, so such a license is not "
        "valid."
    ),
    "require_check_in": "Whether a license must check in regularly to stay valid.",
    "check_in_interval": (
        "The unit of time between check-ins: `day`, `week`, `month` or `year`. Needed with `requireCheckIn`."
    ),
    "check_in_interval_count": "The number of units between check-ins, 1 to 365. Needed with `requireCheckIn`.",
    "heartbeat_duration": (
        "The time within which a machine or process must send a heartbeat, in seconds; at least 60. Null: 600."
    ),
    "heartbeat_cull_strategy": "Whether a dead machine is deleted, or keeps its seat.",
    "heartbeat_resurrection_strategy": "How long a heartbeat revives a dead machine.",
    "heartbeat_basis": "Whether a machine's heartbeats are due from its creation or from its first one.",
    "require_heartbeat": "Whether machines must send heartbeats. One that has sent any must go on in any case.",
    "metadata": DESCRIPTIONS["metadata"],
}
FINAL = ["use_pool", "scheme", "encrypted"]  # cannot change later


class PolicySerializer(VersionedSerializer):
    """A policy: the terms of a license, and whether its keys come from a pool (contract: keys 7)."""

    section = Section(
        50, "Policies", "The terms under which licenses of a product are issued. A pooled policy has a pool of keys."
    )

    product = VisibleRelatedField(queryset=Product.objects.all())

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "pool": to_many(description="The available keys of the policy."),
        "licenses": to_many(),
        "entitlements": to_many(description="The entitlements that all licenses of the policy have."),
    }
    # Contract: keys 7.4.
    renamed_attributes = (
        RenamedAttribute("leasing_strategy", now="process_leasing_strategy", until="1.6"),
        RenamedAttribute("fingerprint_uniqueness_strategy", now="machine_uniqueness_strategy", until="1.3"),
        RenamedAttribute("fingerprint_matching_strategy", now="machine_matching_strategy", until="1.3"),
        RenamedAttribute(
            "concurrent", now="overage_strategy", until="1.1", boolean_of=("ALWAYS_ALLOW_OVERAGE", "NO_OVERAGE")
        ),
    )
    changed_defaults = (
        ChangedDefault("heartbeat_basis", "FROM_FIRST_PING", until="1.2"),
        ChangedDefault("overage_strategy", "ALWAYS_ALLOW_OVERAGE", until="1.1"),
    )

    class Meta:
        model = Policy
        fields = [*ATTRIBUTES, "created", "updated", "product"]
        on_create = [*ATTRIBUTES, "product"]
        on_update = [name for name in ATTRIBUTES if name not in FINAL]
        required = ["attributes", "product"]
        descriptions = ATTRIBUTES
        examples = {"name": "Yearly", "use_pool": True, "duration": 31536000}
        extra_kwargs = {name: {"allow_blank": False} for name in ("scheme", "check_in_interval", "heartbeat_basis")}
