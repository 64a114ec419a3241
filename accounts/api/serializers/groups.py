"""Groups and their owners as resource objects."""

from typing import Any

from rest_framework import serializers

from accounts.models import Group, GroupOwner
from keygen_site.jsonapi.request_documents import Members, identifier
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, ACCOUNT_PATH, ResourceSerializer, to_many, to_one
from keygen_site.jsonapi.types import INT32

# The document that moves a user, a license or a machine to a group, or out of its group.
GROUP: Members = {"data": identifier("groups", "group", nullable=True)}


class LimitField(serializers.IntegerField):
    """A number of 4 bytes. A larger one is a malformed document."""

    value_type = INT32


class GroupSerializer(ResourceSerializer):
    """A group of users, licenses and machines (contract: entitlements-groups 7)."""

    section = Section(
        75,
        "Groups",
        "Sets of users, licenses and machines. A group may have limits, and owners, who see what is in it.",
    )

    max_users = LimitField(allow_null=True)
    max_licenses = LimitField(allow_null=True)
    max_machines = LimitField(allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "owners": to_many(description="The users who own the group, and may read what is in it."),
        "users": to_many(description="The users who belong to the group."),
        "licenses": to_many(description="The licenses that belong to the group."),
        "machines": to_many(description="The machines that belong to the group."),
    }

    class Meta:
        model = Group
        fields = ["name", "max_users", "max_licenses", "max_machines", "metadata", "created", "updated"]
        on_create = ["name", "max_users", "max_licenses", "max_machines", "metadata"]
        on_update = on_create
        required = ["name"]
        descriptions = {
            "name": "The name, for people.",
            "max_users": "The maximum number of users in the group; null: no limit.",
            "max_licenses": "The maximum number of licenses in the group; null: no limit.",
            "max_machines": "The maximum number of machines in the group; null: no limit.",
        }
        examples = {"name": "Acme Hospital", "max_users": 5}


class GroupOwnerSerializer(ResourceSerializer):
    """The ownership of a group by a user (contract: entitlements-groups 10)."""

    section = GroupSerializer.section

    relationships = {
        "account": ACCOUNT,
        "group": to_one("groups", "group_id", direct=True),
        "user": to_one("users", "user_id", direct=True),
    }

    class Meta:
        model = GroupOwner
        fields = ["created", "updated"]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []

    @classmethod
    def path_of(cls, row: Any) -> str:
        return f"{ACCOUNT_PATH.format(row.account_id)}/groups/{row.group_id}/owners/{row.pk}"
