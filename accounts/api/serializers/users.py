from dataclasses import replace
from functools import cache

from accounts.models import User
from keygen_site.jsonapi.openapi.schemas import or_null
from keygen_site.jsonapi.serializers import ACCOUNT, ResourceSerializer, to_many, to_one


class UserSerializer(ResourceSerializer):
    """A user on the wire (contract: platform 8)."""

    relationships = {
        "account": ACCOUNT,
        "group": to_one("groups", "group_id"),
        "products": to_many(),
        "licenses": to_many(),
        "machines": to_many(),
        "tokens": to_many(),
        "second_factors": to_many(),
    }

    class Meta:
        model = User
        fields = [
            "full_name",
            "first_name",
            "last_name",
            "email",
            "password",
            "status",
            "role",
            "metadata",
            "created",
            "updated",
        ]
        on_create = on_update = ["first_name", "last_name", "email", "password", "role", "metadata"]
        required = ["email"]

    @classmethod
    def describe(cls, members):
        attributes = members["attributes"]["properties"]
        attributes["fullName"] = or_null(attributes["fullName"])  # unless both names are known

    @classmethod
    @cache
    def table(cls):
        return [(name, get, write) for name, get, write in super().table() if name != "password"]

    @classmethod
    @cache
    def schema(cls, creating):
        data = super().schema(creating)["data"]
        attributes = dict(data.members["attributes"].members)
        attributes["password"] = replace(attributes["password"], nullable=True, blank=False)
        attributes["role"] = replace(attributes["role"], one_of=tuple(User.Role.values))
        members = data.members | {"attributes": replace(data.members["attributes"], members=attributes)}
        return {"data": replace(data, members=members)}

    def create(self, validated_data):
        return User.objects.create_user(**validated_data)
