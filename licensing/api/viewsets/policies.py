from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api import operations
from licensing.api.filters import PolicyFilterSet, PolicyLicenseFilterSet
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.nested import NestedLicenseViewSet
from licensing.models import Policy


class PolicyViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
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
