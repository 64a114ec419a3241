"""Entitlements, and their attachments to policies and licenses, as resource objects."""

from typing import Any

from keygen_site.jsonapi.openapi.schemas import LINK, object_schema
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, ACCOUNT_PATH, ResourceSerializer, to_one
from licensing.models import Entitlement, LicenseEntitlement, PolicyEntitlement

_ENTITLEMENT = to_one("entitlements", "entitlement_id", direct=True)
# Errors about the attached entitlement are explained in its own documentation.
_ABOUT = {"entitlement": "entitlements/#entitlements-object-relationships-entitlement"}


class EntitlementSerializer(ResourceSerializer):
    """An entitlement: a named feature of the account's products (contract: entitlements-groups 2)."""

    section = Section(
        65,
        "Entitlements",
        "Features that a license may have, by their codes. They are attached to policies, for all their licenses, "
        "and to single licenses. URLs name an entitlement by its id or its code.",
    )

    class Meta:
        model = Entitlement
        fields = ["name", "code", "metadata", "created", "updated"]
        on_create = ["name", "code", "metadata"]
        on_update = on_create
        required = ["name", "code"]
        descriptions = {
            "name": "The name, for people.",
            "code": "The code that validations ask for, unique in the account whatever its case.",
        }
        examples = {"name": "Offline mode", "code": "OFFLINE"}


class AttachmentSerializer(ResourceSerializer):
    """Base: the attachment of an entitlement. Its only link is the URL of the entitlement below the other resource."""

    section = EntitlementSerializer.section
    about = _ABOUT

    class Meta:
        model: type[PolicyEntitlement | LicenseEntitlement] = PolicyEntitlement
        fields = ["created", "updated"]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []

    @classmethod
    def resource_object(cls, row: Any) -> dict[str, Any]:
        account_path = ACCOUNT_PATH.format(row.account_id)
        related = f"{account_path}/{cls.parent_path(row)}/entitlements/{row.entitlement_id}"
        return super().resource_object(row) | {"links": {"related": related}}

    @classmethod
    def parent_path(cls, row: Any) -> str:
        """The path of the resource that the entitlement is attached to, below the account's."""
        return f"policies/{row.policy_id}"

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        link = LINK | {"description": "The URL of the entitlement below the resource that it is attached to."}
        members["links"] = object_schema({"related": link})


class PolicyEntitlementSerializer(AttachmentSerializer):
    """The attachment of an entitlement to a policy (contract: entitlements-groups 4)."""

    relationships = {
        "account": ACCOUNT,
        "entitlement": _ENTITLEMENT,
        "policy": to_one("policies", "policy_id", direct=True),
    }


class LicenseEntitlementSerializer(AttachmentSerializer):
    """The attachment of an entitlement to a license (contract: entitlements-groups 5)."""

    relationships = {
        "account": ACCOUNT,
        "entitlement": _ENTITLEMENT,
        "license": to_one("licenses", "license_id", direct=True),
    }

    class Meta(AttachmentSerializer.Meta):
        model = LicenseEntitlement

    @classmethod
    def parent_path(cls, row: Any) -> str:
        return f"licenses/{row.license_id}"
