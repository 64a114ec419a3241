"""Policies over HTTP."""

from rest_framework.decorators import action

from accounts.api.base import APIViewSet
from keygen_site.jsonapi.lookups import Parent
from keygen_site.jsonapi.operations import operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.filters import PolicyFilterSet, PolicyLicenseFilterSet
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.nested import NestedLicenseViewSet, StaffAndProductOnly
from licensing.models import Policy, Product


class PolicyViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The policies of an account (contract: keys 1.3, 7)."""

    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    filterset_class = PolicyFilterSet

    @action(detail=True)
    @operation("Show the product of a policy", permission="product.read", gives=ProductSerializer)
    def product(self, request: APIRequest, policy: Policy) -> Product:
        return policy.product


class PolicyLicenseViewSet(StaffAndProductOnly, NestedLicenseViewSet):
    """The licenses under a policy."""

    filterset_class = PolicyLicenseFilterSet
    parent = Parent(
        "policy", Policy.objects.all(), narrow=lambda licenses, policy_id: licenses.filter(policy=policy_id)
    )
