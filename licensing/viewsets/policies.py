from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import AccountViewSet
from keygen_site.api import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing import operations
from licensing.filters import PolicyFilterSet, PolicyLicenseFilterSet
from licensing.models import Policy
from licensing.serializers import PolicySerializer, ProductSerializer
from licensing.viewsets.nested import NestedLicenseViewSet


class PolicyViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, AccountViewSet):
    """The policies of an account (contract: keys 1.3, 7)."""

    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    filterset_class = PolicyFilterSet
    operations = operations.PRODUCT
    permissions = {
        "list": "policy.read",
        "retrieve": "policy.read",
        "create": "policy.create",
        "partial_update": "policy.update",
        "destroy": "policy.delete",
        "product": "product.read",
    }

    @action(detail=True)
    def product(self, request, *args, **kwargs):
        return Response(ProductSerializer.resource_object(self.get_object().product))


class PolicyLicenseViewSet(NestedLicenseViewSet):
    """The licenses under a policy."""

    filterset_class = PolicyLicenseFilterSet

    def find_parent(self):
        self.policy = self.find(Policy.objects.visible_to(self.request.user), self.kwargs["policy"])

    def get_queryset(self):
        return super().get_queryset().filter(policy=self.policy)
