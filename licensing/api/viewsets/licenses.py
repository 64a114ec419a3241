from accounts.api.base import APIViewSet
from accounts.permissions import Forbidden
from keygen_site.jsonapi.request_documents import camel
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api import operations
from licensing.api.filters import AllLicenseFilterSet, UserLicenseFilterSet
from licensing.api.serializers.licenses import LIMITS, LicenseSerializer
from licensing.api.viewsets.license_actions import LicenseActions
from licensing.api.viewsets.license_base import ANY_TEXT
from licensing.api.viewsets.license_relationships import LicenseRelationships
from licensing.api.viewsets.nested import OfUser
from licensing.models import License
from licensing.services import issue_license

# What only those who manage licenses may say of a new one (contract: licenses 3.2).
MANAGERS = frozenset({"admin", "developer", "sales-agent", "product"})
OF_MANAGERS = ("protected", "expiry", "suspended", *LIMITS)


class LicenseViewSet(
    CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, LicenseActions, LicenseRelationships
):
    """The licenses of an account (contract: licenses 1)."""

    serializer_class = LicenseSerializer
    filterset_class = AllLicenseFilterSet
    operations = operations.LICENSES
    permissions = {
        "list": "license.read",
        "retrieve": "license.read",
        "create": "license.create",
        "partial_update": "license.update",
        "destroy": "license.delete",
        "validate": "license.validate",
        "quick_validate": "license.validate",
        "validate_key": "license.validate",
        "suspend": "license.suspend",
        "reinstate": "license.reinstate",
        "renew": "license.renew",
        "revoke": "license.revoke",
        "check_in": "license.check-in",
        "check_out": "license.check-out",
        "check_out_file": "license.check-out",
        "increment_usage": "license.usage.increment",
        "decrement_usage": "license.usage.decrement",
        "reset_usage": "license.usage.reset",
        "product": "product.read",
        "policy": "policy.read",
        "change_policy": "license.policy.update",
        "owner": "user.read",
        "change_owner": "license.owner.update",
        "former_owner": "user.read",
        "change_former_owner": "license.owner.update",
        "group": "license.read",
        "entitlements": "license.read",
        "entitlement": "license.read",
        "machines": "license.read",
        "machine": "license.read",
    }
    anonymous = frozenset({"validate_key"})
    shape_before_permission = frozenset({"create", "validate_key"})

    def authorize(self):
        super().authorize()
        if self.action == "list" and self.request.user.role == "license":
            raise Forbidden

    def get_serializer_context(self):
        context = super().get_serializer_context()
        bearer = self.request.user
        if self.action == "create" and bearer.role not in MANAGERS:
            context["withheld"] = ["/data/id", *(f"/data/attributes/{camel(name)}" for name in OF_MANAGERS)]
        return context

    def check_relationships(self, serializer):
        bearer = self.request.user
        if bearer.role == "user":
            values = serializer.validated_data
            owner, policy = values.get("owner"), values.get("policy")
            if owner is None or owner.pk != bearer.id or (policy and policy.protected):
                raise Forbidden
        if bearer.role == "product" and "policy" in serializer.missing:
            raise Forbidden
        if "policy" in serializer.missing:
            serializer.missing.append("product")  # it comes with the policy (contract: licenses 3.6)
        if serializer.missing:
            serializer.explain_missing(self.defaults() | serializer.validated_data)

    def perform_create(self, serializer):
        serializer.instance = issue_license(audit=self.audit, **serializer.validated_data)


class UserLicenseViewSet(OfUser, RetrieveMixin, ListMixin, APIViewSet):
    """The licenses that a user owns or is attached to."""

    queryset = License.objects.with_api_fields()
    serializer_class = LicenseSerializer
    filterset_class = UserLicenseFilterSet
    permissions = {"list": "license.read", "retrieve": "license.read"}
    lookup_value_regex = ANY_TEXT

    def authorize(self):
        super().authorize()
        if self.request.user.role == "license":
            raise Forbidden

    def get_queryset(self):
        return super().get_queryset().for_user(self.user.pk)
