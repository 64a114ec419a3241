from accounts.api import AccountViewSet
from accounts.permissions import Forbidden
from keygen_site.api import CreateMixin, ListMixin, RetrieveMixin
from keygen_site.documents import camel
from licensing.filters import AllLicenseFilterSet
from licensing.models import License
from licensing.serializers.licenses import LIMITS, LicenseSerializer
from licensing.services import issue_license

# What only those who manage licenses may say of a new one (contract: licenses 3.2).
MANAGERS = frozenset({"admin", "developer", "sales-agent", "product"})
OF_MANAGERS = ("protected", "expiry", "suspended", *LIMITS)


class LicenseViewSet(CreateMixin, RetrieveMixin, ListMixin, AccountViewSet):
    """The licenses of an account (contract: licenses 1)."""

    queryset = License.objects.shown()
    serializer_class = LicenseSerializer
    filterset_class = AllLicenseFilterSet
    permissions = {
        "list": "license.read",
        "retrieve": "license.read",
        "create": "license.create",
    }

    def authorize(self):
        super().authorize()
        if self.action == "list" and self.request.user.role == "license":
            raise Forbidden

    def get_serializer_context(self):
        context = super().get_serializer_context()
        bearer = self.request.user
        if bearer and bearer.role not in MANAGERS:
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
        serializer.instance = issue_license(origin=self.origin, **serializer.validated_data)
