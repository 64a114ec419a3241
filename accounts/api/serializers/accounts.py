"""Accounts as resource objects, and the document of a sign-up."""

from dataclasses import replace
from typing import Any

from accounts.api.serializers.users import UserSerializer
from accounts.models import Account, SigningKey
from accounts.signing import algorithms
from keygen_site.jsonapi.openapi.schemas import object_schema
from keygen_site.jsonapi.request_documents import Members, Schema, identifier
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, EnumField, ResourceSerializer, to_many
from keygen_site.jsonapi.text import timestamp
from keygen_site.jsonapi.types import ARRAY, BOOLEAN, STRING
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
SUPPORTED = frozenset({"products", "policies", "users", "keys", "licenses", "settings", "tokens"})
NOT_SUPPORTED = "Not supported: the URL does not exist."


class AccountSerializer(ResourceSerializer):
    """An account, with the public keys that verify its signatures (contract: platform 7.2)."""

    section = Section(90, "Accounts", "The account, with the public keys that verify the signatures of its responses.")

    api_version = EnumField(VERSIONS)

    relationships = {
        name: to_many(description=f"The {name} of the account." if name in SUPPORTED else NOT_SUPPORTED)
        for name in LINKED
    }

    class Meta:
        model = Account
        fields = ["name", "slug", "api_version", "status", "protected", "created", "updated"]
        on_create: list[str] = []
        on_update = ["name", "slug", "protected", "api_version"]
        required: list[str] = []
        descriptions = {
            "name": "The name, for people.",
            "slug": "The name in URLs: lower-case letters, digits and hyphens.",
            "api_version": "The API version of requests without the header `Keygen-Version`.",
            "status": "`SUBSCRIBED`. When it is `PAUSED` or `CANCELED`, most requests are refused.",
            "protected": "Whether new policies are protected, and users cannot be created without a credential.",
        }
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
        if retired:  # an addition to the contract: they verify signatures from before a rotation
            meta["retiredKeys"] = [
                {"kind": key.kind, "publicKey": key.public, "retired": timestamp(key.retired)} for key in retired
            ]
        return super().resource_object(row) | {"meta": meta}

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        def text(description: str) -> dict[str, Any]:
            return {"type": "string", "description": description}

        keys = object_schema({kind: text(f"The {kind} public key, in base64.") for kind in algorithms.KEY_KINDS})
        retired = {
            "kind": text("The kind of the key, as in `keys`."),
            "publicKey": text("The public key, in base64."),
            "retired": text("When it was replaced."),
        }
        meta = object_schema(
            {
                "publicKey": text("The RSA public key, in base64."),
                "keys": keys | {"description": "The public keys by kind."},
            }
        )
        meta["properties"]["retiredKeys"] = {
            "type": "array",
            "items": object_schema(retired),
            "description": "Keys that were replaced: they verify what they signed. Missing if there are none.",
        }
        members["meta"] = meta | {"description": "The keys that verify signatures of the account."}


_ADMIN = Schema(
    members={
        "type": Schema(STRING, required=True, one_of=("users", "user"), description="The resource type."),
        "attributes": Schema(
            required=True,
            description="The values of the admin.",
            members={
                name: replace(schema, description=UserSerializer.describe(name))
                for name, schema in {
                    "first_name": Schema(STRING, blank=True),
                    "last_name": Schema(STRING, blank=True),
                    "email": Schema(STRING, required=True),
                    "password": Schema(STRING, blank=True),
                    "metadata": Schema(blank=True),
                    "role": Schema(STRING, one_of=("admin",)),
                }.items()
            },
        ),
    },
)
_ADMINS = Schema(
    ARRAY,
    required=True,
    items=replace(_ADMIN, required=True),
    max_items=MAX_ADMINS,
    description=f"The admins, 1 to {MAX_ADMINS}.",
)
NEW_ACCOUNT: Members = {
    "data": Schema(
        required=True,
        members={
            "type": Schema(STRING, required=True, one_of=("accounts", "account"), description="The resource type."),
            "attributes": Schema(
                members={
                    name: Schema(kind, description=AccountSerializer.describe(name))
                    for name, kind in {"name": STRING, "slug": STRING, "protected": BOOLEAN}.items()
                },
                description="The values of the new account. By default its name and slug are made from the email.",
            ),
            "relationships": Schema(
                required=True,
                description="The resources to relate to.",
                members={
                    "plan": Schema(
                        members={"data": identifier("plans", "plan", required=False)},
                        description="Ignored: there are no plans.",
                    ),
                    "admins": Schema(
                        required=True, members={"data": _ADMINS}, description="The admins of the new account."
                    ),
                },
            ),
        },
        description="The new account.",
    ),
    "meta": Schema(members={"referral": Schema(STRING, description="Ignored.")}, description="Ignored."),
}


def parse_new_account(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fields of a new account, and those of each of its admins.

    A plan may be named, as the original API requires one; it has no effect.
    """
    data = document["data"]
    admins = [admin["attributes"] for admin in data["relationships"]["admins"]["data"]]
    return data.get("attributes", {}), admins
