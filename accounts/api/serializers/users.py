"""Users as resource objects."""

from typing import Any

from rest_framework import serializers

from accounts.models import Group, User
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import (
    ACCOUNT,
    EnumField,
    ResourceSerializer,
    VisibleRelatedField,
    to_many,
    to_one,
)


class UserSerializer(ResourceSerializer):
    """A user: a customer, or a person of the account's staff (contract: platform 8)."""

    section = Section(
        70, "Users", "Customers, and the people who work with the account. URLs name them by id or email."
    )

    full_name = serializers.CharField(read_only=True, allow_null=True)
    password = serializers.CharField(write_only=True, allow_null=True)
    role = EnumField(User.Role.values)
    group = VisibleRelatedField(queryset=Group.objects.all(), allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "group": to_one("groups", "group_id", description="The group that the user belongs to, or null."),
        "products": to_many(),
        "licenses": to_many(),
        "machines": to_many(description="The machines of licenses that the user owns or is attached to."),
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
        descriptions = {
            "full_name": "The first and last name, or null.",
            "first_name": "The first name.",
            "last_name": "The last name.",
            "email": "The email, unique in the account.",
            "password": "The password, 8 to 72 characters; without one, the user cannot sign in.",
            "status": "`ACTIVE`, `INACTIVE` (no activity for 90 days) or `BANNED`.",
            "role": "What the user may do. A customer has the role `user`. Only admins may set another one.",
        }
        examples = {"first_name": "Ann", "last_name": "Example", "full_name": "Ann Example", "email": "ann@acme.test"}

    @classmethod
    def new_row(cls, values: dict[str, Any]) -> User:
        return User.objects.new_user(**values)
