from dataclasses import replace
from functools import cache

from accounts.api.base import VERSIONS
from accounts.models import Account, SigningKey
from accounts.signing import algorithms
from keygen_site.jsonapi import request_documents
from keygen_site.jsonapi.openapi.schemas import objects
from keygen_site.jsonapi.request_documents import Member
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, ResourceSerializer, to_many

HAS = (
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
    """An account on the wire, with the public keys that verify what it signs (contract: platform 7.2)."""

    relationships = {name: to_many() for name in HAS}

    class Meta:
        model = Account
        fields = ["name", "slug", "api_version", "status", "protected", "created", "updated"]
        on_create = []
        on_update = ["name", "slug", "protected", "api_version"]
        required = []

    @classmethod
    def path_of(cls, row):
        return ACCOUNT_PATH.format(row.pk)

    @classmethod
    def resource_object(cls, row):
        keys = {kind: SigningKey.objects.of(row.pk, kind).public for kind in algorithms.KINDS}
        return super().resource_object(row) | {"meta": {"publicKey": keys["rsa2048"], "keys": keys}}

    @classmethod
    def describe(cls, members):
        keys = {kind: {"type": "string"} for kind in algorithms.KINDS}
        members["meta"] = objects({"publicKey": {"type": "string"}, "keys": objects(keys)})

    @classmethod
    @cache
    def schema(cls, creating):
        data = super().schema(creating)["data"]
        attributes = dict(data.members["attributes"].members)
        attributes["api_version"] = replace(attributes["api_version"], one_of=VERSIONS)
        members = data.members | {"attributes": replace(data.members["attributes"], members=attributes)}
        return {"data": replace(data, members=members)}


_ADMIN = Member(
    members={
        "type": Member("string", required=True, one_of=("users", "user")),
        "attributes": Member(
            required=True,
            members={
                "first_name": Member("string", blank=True),
                "last_name": Member("string", blank=True),
                "email": Member("string", required=True),
                "password": Member("string", blank=True),
                "metadata": Member(blank=True),
                "role": Member("string", one_of=("admin",)),
            },
        ),
    },
)
_PLAN = Member(
    members={"type": Member("string", required=True, one_of=("plans", "plan")), "id": Member("uuid", required=True)}
)
NEW_ACCOUNT = {
    "data": Member(
        required=True,
        members={
            "type": Member("string", required=True, one_of=("accounts", "account")),
            "attributes": Member(
                members={"name": Member("string"), "slug": Member("string"), "protected": Member("boolean")}
            ),
            "relationships": Member(
                required=True,
                members={
                    "plan": Member(members={"data": _PLAN}),
                    "admins": Member(
                        required=True,
                        members={"data": Member("array", required=True, items=replace(_ADMIN, required=True))},
                    ),
                },
            ),
        },
    ),
    "meta": Member(members={"referral": Member("string")}),
}


def read_new_account(body):
    """What a request says that makes an account: its fields, and those of each of its admins.

    A plan may be named, as the original API wants one; there is nothing to pay for here.

    Raises:
        BadRequest: the first problem of shape.
    """
    data = request_documents.read(body, NEW_ACCOUNT)["data"]
    admins = [admin["attributes"] for admin in data["relationships"]["admins"]["data"]]
    return data.get("attributes", {}), admins
