from keygen_site.serializers import ACCOUNT, ResourceSerializer, VisibleRelatedField, to_one
from licensing.models import Policy
from pools.models import Key


class KeySerializer(ResourceSerializer):
    """A key on the wire (contract: keys 2)."""

    policy = VisibleRelatedField(queryset=Policy.objects.all())

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "policy.product_id"),
        "policy": to_one("policies", "policy_id"),
    }

    class Meta:
        model = Key
        fields = ["key", "created", "updated", "policy"]
        on_create = ["key", "policy"]
        on_update = ["key"]
        required = ["key", "policy"]
        extra_kwargs = {"key": {"allow_blank": False}}
