"""Policies as resource objects."""

from keygen_site.jsonapi.serializers import ACCOUNT, VisibleRelatedField, to_many, to_one
from keygen_site.jsonapi.versions import ChangedDefault, RenamedAttribute, VersionedSerializer
from licensing.models import Policy, Product

ATTRIBUTES = [
    "name",
    "duration",
    "strict",
    "floating",
    "use_pool",
    "max_machines",
    "max_processes",
    "max_users",
    "max_cores",
    "max_memory",
    "max_disk",
    "max_uses",
    "machine_uniqueness_strategy",
    "machine_matching_strategy",
    "component_uniqueness_strategy",
    "component_matching_strategy",
    "expiration_strategy",
    "expiration_basis",
    "renewal_basis",
    "transfer_strategy",
    "authentication_strategy",
    "machine_leasing_strategy",
    "process_leasing_strategy",
    "overage_strategy",
    "scheme",
    "encrypted",
    "protected",
    "require_product_scope",
    "require_policy_scope",
    "require_machine_scope",
    "require_fingerprint_scope",
    "require_components_scope",
    "require_user_scope",
    "require_checksum_scope",
    "require_version_scope",
    "require_check_in",
    "check_in_interval",
    "check_in_interval_count",
    "heartbeat_duration",
    "heartbeat_cull_strategy",
    "heartbeat_resurrection_strategy",
    "heartbeat_basis",
    "require_heartbeat",
    "metadata",
]
FINAL = ["use_pool", "scheme", "encrypted"]  # cannot change later


class PolicySerializer(VersionedSerializer):
    """A policy (contract: keys 7)."""

    product = VisibleRelatedField(queryset=Product.objects.all())

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "pool": to_many(),
        "licenses": to_many(),
        "entitlements": to_many(),
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
        examples = {"name": "Yearly", "use_pool": True, "duration": 31536000}
        extra_kwargs = {name: {"allow_blank": False} for name in ("scheme", "check_in_interval", "heartbeat_basis")}
