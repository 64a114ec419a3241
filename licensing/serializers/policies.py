from keygen_site.serializers import ACCOUNT, ResourceSerializer, to_many, to_one
from licensing.models import Policy


class PolicySerializer(ResourceSerializer):
    """A policy on the wire (contract: keys 7)."""

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "pool": to_many(),
        "licenses": to_many(),
        "entitlements": to_many(),
    }

    class Meta:
        model = Policy
        fields = [
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
            "created",
            "updated",
        ]
