"""Tokens as resource objects, and the documents that create them."""

from typing import Any

from accounts.bearers import models_by_type, resource_type, types
from accounts.models import Token
from keygen_site.jsonapi.openapi.schemas import LINK, object_schema
from keygen_site.jsonapi.request_documents import Members, Schema, linkage
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, ResourceSerializer
from keygen_site.jsonapi.types import INT32, STRING, TIME, UUID_SCHEMA

ONLY_FOR_LICENSES = ("maxActivations", "activations", "maxDeactivations", "deactivations")


class TokenSerializer(ResourceSerializer):
    """A token (contract: platform 5.5), without its text."""

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
        attributes["properties"]["token"] = {"type": "string"}
        attributes["required"] = [name for name in attributes["required"] if name not in ONLY_FOR_LICENSES]
        bearer = object_schema(
            {
                "type": {"type": "string", "enum": [resource_type(each.model) for each in types().values()]},
                "id": UUID_SCHEMA,
            }
        )
        relationships = members["relationships"]
        relationships["properties"]["bearer"] = object_schema(
            {"links": object_schema({"related": LINK}), "data": bearer}
        )
        relationships["required"].append("bearer")

    @classmethod
    def with_text(cls, row: Token, text: str) -> dict[str, Any]:
        """A token with its text, for the response that created the text."""
        shown = cls.resource_object(row)
        kind, *others = shown["attributes"].items()
        shown["attributes"] = dict([kind, ("token", text), *others])
        return shown


def _document(*relationships: tuple[str, Schema], **attributes: Schema) -> Members:
    attributes |= {"name": Schema(STRING, nullable=True), "expiry": Schema(TIME, nullable=True)}
    members = {"type": Schema(STRING, required=True, one_of=("tokens", "token"))}
    members["attributes"] = Schema(members=attributes)
    members["relationships"] = Schema(members=dict(relationships))
    return {"data": Schema(members=members), "meta": Schema(members={"otp": Schema(STRING, required=True)})}


SIGN_IN = _document(("bearer", linkage(*models_by_type(), required=False)))
BEARER_TOKEN = _document()
LICENSE_TOKEN = _document(max_activations=Schema(INT32), max_deactivations=Schema(INT32))


def parse_token(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The attributes of a new token by name, and the identifier of its bearer or None. All may be left out."""
    data = document.get("data", {})
    bearer = data.get("relationships", {}).get("bearer")
    return data.get("attributes", {}), bearer and bearer["data"]
