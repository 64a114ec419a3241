"""Keys and ledger events as resource objects."""

from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    NullableTextField,
    ResourceSerializer,
    VisibleRelatedField,
    to_one,
)
from licensing.models import Policy
from pools.models import Key, KeyEvent


class KeySerializer(ResourceSerializer):
    """A key (contract: keys 2)."""

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
        examples = {"key": "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"}
        extra_kwargs = {"key": {"allow_blank": False}}


class KeyEventSerializer(ResourceSerializer):
    """An event of the ledger. It does not contain the key: a key leads to its events, not the other way round."""

    reference = NullableTextField(allow_null=True)
    bearer_type = NullableTextField(allow_null=True)
    bearer_id = NullableTextField(allow_null=True)
    token_id = NullableTextField(allow_null=True)
    token_name = NullableTextField(allow_null=True)
    operator = NullableTextField(allow_null=True)
    operator_id = NullableTextField(allow_null=True)
    request_id = NullableTextField(allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "product_id", direct=True),
        "policy": to_one("policies", "policy_id", direct=True),
        "key": to_one("keys", "key_id", direct=True),
        "license": to_one("licenses", "license_id", direct=True),
        "import": to_one("key-imports", "key_import_id", direct=True),
    }

    class Meta:
        model = KeyEvent
        fields = [
            "event",
            "details",
            "reference",
            "bearer_type",
            "bearer_id",
            "token_id",
            "token_name",
            "operator",
            "operator_id",
            "request_id",
            "created",
        ]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []
        examples = {"reference": "Order 4711"}
