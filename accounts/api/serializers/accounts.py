"""Accounts as resource objects, and the document of a sign-up."""

from dataclasses import replace
from typing import Any

from accounts.models import Account, SigningKey
from accounts.signing import algorithms
from keygen_site.jsonapi.openapi.schemas import object_schema
from keygen_site.jsonapi.request_documents import Members, Schema
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, EnumField, ResourceSerializer, to_many
from keygen_site.jsonapi.text import timestamp
from keygen_site.jsonapi.types import ARRAY, BOOLEAN, STRING, UUID
from keygen_site.jsonapi.versions import CURRENT_VERSION, VERSIONS

MAX_ADMINS = 10  # of a sign-up: the password of each is hashed
LINKED = (
    "settings",
    "webhook_endpoints",
    "webhook_events",
    "products",
    "platforms",
    "arches",
    "channels",
    "releases",
    "artifacts",
    "policies",
    "users",
    "keys",
    "licenses",
    "machines",
    "components",
    "processes",
    "tokens",
)


class AccountSerializer(ResourceSerializer):
    """An account, with the public keys that verify its signatures (contract: platform 7.2)."""

    api_version = EnumField(VERSIONS)

    relationships = {name: to_many() for name in LINKED}

    class Meta:
        model = Account
        fields = ["name", "slug", "api_version", "status", "protected", "created", "updated"]
        on_create: list[str] = []
        on_update = ["name", "slug", "protected", "api_version"]
        required: list[str] = []
        examples = {"api_version": CURRENT_VERSION}

    @classmethod
    def path_of(cls, row: Account) -> str:
        return ACCOUNT_PATH.format(row.pk)

    @classmethod
    def resource_object(cls, row: Account) -> dict[str, Any]:
        keys, retired = SigningKey.objects.published(row.pk)
        meta: dict[str, Any] = {
            "publicKey": keys["rsa2048"].public,
            "keys": {kind: key.public for kind, key in keys.items()},
        }
        if retired:  # an addition to the contract: they verify what they signed before a rotation
            meta["retiredKeys"] = [
                {"kind": key.kind, "publicKey": key.public, "retired": timestamp(key.retired)} for key in retired
            ]
        return super().resource_object(row) | {"meta": meta}

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        keys = {kind: {"type": "string"} for kind in algorithms.KEY_KINDS}
        retired = {"kind": {"type": "string"}, "publicKey": {"type": "string"}, "retired": {"type": "string"}}
        meta = object_schema({"publicKey": {"type": "string"}, "keys": object_schema(keys)})
        meta["properties"]["retiredKeys"] = {
            "type": "array",
            "items": object_schema(retired),
            "description": "Keys that were replaced: they verify what they signed. Missing if there are none.",
        }
        members["meta"] = meta


_ADMIN = Schema(
    members={
        "type": Schema(STRING, required=True, one_of=("users", "user")),
        "attributes": Schema(
            required=True,
            members={
                "first_name": Schema(STRING, blank=True),
                "last_name": Schema(STRING, blank=True),
                "email": Schema(STRING, required=True),
                "password": Schema(STRING, blank=True),
                "metadata": Schema(blank=True),
                "role": Schema(STRING, one_of=("admin",)),
            },
        ),
    },
)
_PLAN = Schema(
    members={"type": Schema(STRING, required=True, one_of=("plans", "plan")), "id": Schema(UUID, required=True)}
)
_ADMINS = Schema(ARRAY, required=True, items=replace(_ADMIN, required=True), max_items=MAX_ADMINS)
NEW_ACCOUNT: Members = {
    "data": Schema(
        required=True,
        members={
            "type": Schema(STRING, required=True, one_of=("accounts", "account")),
            "attributes": Schema(
                members={"name": Schema(STRING), "slug": Schema(STRING), "protected": Schema(BOOLEAN)}
            ),
            "relationships": Schema(
                required=True,
                members={
                    "plan": Schema(members={"data": _PLAN}),
                    "admins": Schema(
                        required=True,
                        members={"data": _ADMINS},
                    ),
                },
            ),
        },
    ),
    "meta": Schema(members={"referral": Schema(STRING)}),
}


def parse_new_account(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fields of a new account, and those of each of its admins.

    A plan may be named, as the original API requires one; it has no effect.
    """
    data = document["data"]
    admins = [admin["attributes"] for admin in data["relationships"]["admins"]["data"]]
    return data.get("attributes", {}), admins
