"""Users as resource objects."""

from typing import Any

from rest_framework import serializers

from accounts.models import User
from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    EnumField,
    ResourceSerializer,
    UnsupportedRelatedField,
    to_many,
    to_one,
)


class UserSerializer(ResourceSerializer):
    """A user (contract: platform 8)."""

    full_name = serializers.CharField(read_only=True, allow_null=True)
    password = serializers.CharField(write_only=True, allow_null=True)
    role = EnumField(User.Role.values)
    group = UnsupportedRelatedField("groups", "group")

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
            "group",
        ]
        on_update = ["first_name", "last_name", "email", "password", "role", "metadata"]
        on_create = [*on_update, "group"]
        update_required = False
        required = ["email"]
        examples = {"first_name": "Ann", "last_name": "Example", "full_name": "Ann Example", "email": "ann@acme.test"}

    @classmethod
    def new_row(cls, values: dict[str, Any]) -> User:
        return User.objects.new_user(**values)
