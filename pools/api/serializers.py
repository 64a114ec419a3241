"""Keys and ledger events as resource objects."""

from keygen_site.jsonapi.sections import Section
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
    """A key in a pool (contract: keys 2)."""

    section = Section(
        20,
        "Keys",
        "Single keys of pools, while they are available. A key that was popped or withdrawn is no longer shown: its "
        "events tell what became of it.",
    )

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
        descriptions = {"key": "The text of the key, unique in the account among keys and licenses."}
        examples = {"key": "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"}
        extra_kwargs = {"key": {"allow_blank": False}}


class KeyEventSerializer(ResourceSerializer):
    """An event of the ledger. It does not contain the key: a key leads to its events, not the other way round."""

    section = Section(
        30,
        "Key events",
        "The ledger: who added, popped, issued, returned, withdrawn or exported which key, when, and for which "
        "reference. Events are never changed or deleted.",
    )

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
        "product": to_one("products", "product_id", direct=True, description="The product of the pool."),
        "policy": to_one("policies", "policy_id", direct=True, description="The policy of the pool."),
        "key": to_one("keys", "key_id", direct=True, description="The key; null for the events of an import."),
        "license": to_one("licenses", "license_id", direct=True, description="The license that has the key, or null."),
        "import": to_one("key-imports", "key_import_id", direct=True, description="The import of the key, or null."),
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
        descriptions = {
            "event": "What happened to the key, or to all keys of an import.",
            "details": "More about the event, by its kind, such as the number of keys or the reason; null for a pop.",
            "reference": "The `Keygen-Reference` of the request, such as an order number; null without one.",
            "bearer_type": "The type of the bearer that caused the event: user, product or license; null for a command "
            "or the console.",
            "bearer_id": "The id of that bearer.",
            "token_id": "The id of the token that the request had; null without one.",
            "token_name": "The name that the token had then.",
            "operator": "The person, or the command with its operating-system user, that caused the event outside of "
            "the API.",
            "operator_id": "The id of that person.",
            "request_id": "The `X-Request-Id` of the request.",
            "created": "When it happened.",
        }
        examples = {"reference": "Order 4711"}
