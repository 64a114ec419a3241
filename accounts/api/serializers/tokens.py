"""Tokens as resource objects, and the documents that create them."""

from typing import Any

from accounts.bearers import models_by_type, resource_type, types
from accounts.models import Token
from keygen_site.jsonapi.openapi.schemas import linkage_schema
from keygen_site.jsonapi.request_documents import Members, Schema, linkage
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, ResourceSerializer
from keygen_site.jsonapi.types import INT32, STRING, TIME

ONLY_FOR_LICENSES = ("maxActivations", "activations", "maxDeactivations", "deactivations")


class TokenSerializer(ResourceSerializer):
    """A token: the credential of a user, a product or a license (contract: platform 5.5)."""

    section = Section(
        80,
        "Tokens",
        "Credentials of users, products and licenses. Sign in here. The text of a token is shown only once.",
    )

    class Meta:
        model = Token
        fields = [
            "kind",
            "expiry",
            "name",
            "max_activations",
            "activations",
            "max_deactivations",
            "deactivations",
            "created",
            "updated",
        ]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []
        descriptions = {
            "kind": "Whose token it is: the role of the user, `product-token` or `activation-token` (of a license).",
            "expiry": "When the token expires; null: never.",
            "name": "The name, for people.",
            "max_activations": "Only for tokens of licenses: the maximum number of activations.",
            "activations": "Only for tokens of licenses: the number of activations.",
            "max_deactivations": "Only for tokens of licenses: the maximum number of deactivations.",
            "deactivations": "Only for tokens of licenses: the number of deactivations.",
        }
        examples = {"kind": "admin-token", "token": "admin-8a3f…"}

    @classmethod
    def resource_object(cls, row: Token) -> dict[str, Any]:
        shown = super().resource_object(row)
        if row.role != "license":
            for name in ONLY_FOR_LICENSES:
                del shown["attributes"][name]
        bearer = {"type": resource_type(row.bearer_model), "id": str(row.bearer_id)}
        shown["relationships"]["bearer"] = {
            "links": {"related": f"{ACCOUNT_PATH.format(row.account_id)}/{bearer['type']}/{bearer['id']}"},
            "data": bearer,
        }
        return shown

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        attributes = members["attributes"]
        text = "The text of the token. Only in the response that creates it."
        attributes["properties"]["token"] = {"type": "string", "description": text}
        attributes["required"] = [name for name in attributes["required"] if name not in ONLY_FOR_LICENSES]
        bearer = linkage_schema(*[resource_type(each.model) for each in types().values()])
        relationships = members["relationships"]
        relationships["properties"]["bearer"] = bearer | {
            "description": "The user, product or license for whom the token speaks."
        }
        relationships["required"].append("bearer")

    @classmethod
    def with_text(cls, row: Token, text: str) -> dict[str, Any]:
        """A token with its text, for the response that created the text."""
        shown = cls.resource_object(row)
        kind, *others = shown["attributes"].items()
        shown["attributes"] = dict([kind, ("token", text), *others])
        return shown


def _document(*relationships: tuple[str, Schema], **attributes: Schema) -> Members:
    texts = TokenSerializer.Meta.descriptions
    attributes |= {
        "name": Schema(STRING, nullable=True, description=texts["name"]),
        "expiry": Schema(TIME, nullable=True, description=texts["expiry"]),
    }
    otp = Schema(STRING, required=True, description="The code of the second factor, if the user has one.")
    return {
        "data": Schema(
            members={
                "type": Schema(STRING, required=True, one_of=("tokens", "token"), description="The resource type."),
                "attributes": Schema(members=attributes, description="The values of the new token."),
                "relationships": Schema(members=dict(relationships), description="The resources to relate to."),
            },
            description="The new token. It may be left out.",
        ),
        "meta": Schema(members={"otp": otp}, description="The second factor of a sign-in."),
    }


SIGN_IN = _document(
    (
        "bearer",
        linkage(*models_by_type(), required=False, description="For whom the token speaks; by default the caller."),
    )
)
BEARER_TOKEN = _document()
LICENSE_TOKEN = _document(
    **{
        name: Schema(INT32, description=TokenSerializer.Meta.descriptions[name])
        for name in ("max_activations", "max_deactivations")
    }
)


def parse_token(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The attributes of a new token by name, and the identifier of its bearer or None. All may be left out."""
    data = document.get("data", {})
    bearer = data.get("relationships", {}).get("bearer")
    return data.get("attributes", {}), bearer and bearer["data"]
