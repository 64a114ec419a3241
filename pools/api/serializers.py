from keygen_site.jsonapi.openapi.schemas import or_null
from keygen_site.jsonapi.serializers import ACCOUNT, ResourceSerializer, VisibleRelatedField, to_one
from licensing.models import Policy
from pools.models import Key, KeyEvent


class KeySerializer(ResourceSerializer):
    """A key on the wire (contract: keys 2)."""

    policy = VisibleRelatedField(queryset=Policy.objects.all())

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id"),
        "policy": to_one("policies", "policy_id"),
    }

    class Meta:
        model = Key
        fields = ["key", "created", "updated", "policy"]
        on_create = ["key", "policy"]
        on_update = ["key"]
        required = ["key", "policy"]
        extra_kwargs = {"key": {"allow_blank": False}}


class KeyEventSerializer(ResourceSerializer):
    """A line of the ledger. It never says the key: who has the key finds its lines, not the other way round."""

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id", direct=True),
        "policy": to_one("policies", "policy_id", direct=True),
        "key": to_one("keys", "key_id", direct=True),
        "license": to_one("licenses", "license_id", direct=True),
    }

    class Meta:
        model = KeyEvent
        fields = ["event", "reference", "bearer_type", "bearer_id", "operator", "request_id", "created"]

    @classmethod
    def getter(cls, name, source):
        """What is not known is null; the columns hold an empty text then."""
        get = super().getter(name, source)
        return get if name == "created" else lambda event: str(get(event) or "") or None

    @classmethod
    def describe(cls, members):
        attributes = members["attributes"]["properties"]
        for name in ("reference", "bearerType", "bearerId", "operator", "requestId"):
            attributes[name] = or_null(attributes[name] | {"type": "string"})
