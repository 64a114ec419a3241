from accounts.models import Token
from keygen_site.jsonapi import request_documents
from keygen_site.jsonapi.openapi.schemas import LINK, UUID, objects
from keygen_site.jsonapi.request_documents import Member, linkage
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, ResourceSerializer

ONLY_OF_LICENSES = ("maxActivations", "activations", "maxDeactivations", "deactivations")
# Whom a new token may be for, as a request names the type: plural or singular.
BEARER_TYPES = {
    "users": "accounts.User",
    "user": "accounts.User",
    "products": "licensing.Product",
    "product": "licensing.Product",
    "licenses": "licensing.License",
    "license": "licensing.License",
}


class TokenSerializer(ResourceSerializer):
    """A token on the wire (contract: platform 5.5); its text is shown by `with_text()` only."""

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
        on_create = on_update = required = []

    @classmethod
    def resource_object(cls, row):
        shown = super().resource_object(row)
        if row.role != "license":
            for name in ONLY_OF_LICENSES:
                del shown["attributes"][name]
        bearer = {"type": row.bearer_model.JSONAPIMeta.resource_name, "id": str(row.bearer_id)}
        shown["relationships"]["bearer"] = {
            "links": {"related": f"{ACCOUNT_PATH.format(row.account_id)}/{bearer['type']}/{bearer['id']}"},
            "data": bearer,
        }
        return shown

    @classmethod
    def describe(cls, members):
        attributes = members["attributes"]
        attributes["properties"]["token"] = {"type": "string"}
        attributes["required"] = [name for name in attributes["required"] if name not in ONLY_OF_LICENSES]
        bearer = objects({"type": {"type": "string", "enum": ["users", "products", "licenses"]}, "id": UUID})
        relationships = members["relationships"]
        relationships["properties"]["bearer"] = objects({"links": objects({"related": LINK}), "data": bearer})
        relationships["required"].append("bearer")

    @classmethod
    def with_text(cls, row, text):
        """A token as only the answer shows it that has just made its text."""
        shown = cls.resource_object(row)
        kind, *others = shown["attributes"].items()
        shown["attributes"] = dict([kind, ("token", text), *others])
        return shown


def _schema(*relationships, **attributes):
    attributes |= {"name": Member("string", nullable=True), "expiry": Member("time", nullable=True)}
    members = {"type": Member("string", required=True, one_of=("tokens", "token"))}
    members["attributes"] = Member(members=attributes)
    if relationships:
        members["relationships"] = Member(members=dict(relationships))
    return {"data": Member(members=members), "meta": Member(members={"otp": Member("string")})}


SIGN_IN = _schema(("bearer", linkage(*BEARER_TYPES, required=False)))
OF_BEARER = _schema()
OF_LICENSE = _schema(max_activations=Member("integer"), max_deactivations=Member("integer"))


def read_token(body, schema):
    """What a request that makes a token says: its fields by name, and the type and id of its bearer or None.

    All of it may be left out.

    Raises:
        BadRequest: the first problem of shape.
    """
    data = request_documents.read(body, schema).get("data", {})
    bearer = data.get("relationships", {}).get("bearer")
    return data.get("attributes", {}), bearer and bearer["data"]
