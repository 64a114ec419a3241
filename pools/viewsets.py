from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import AccountViewSet
from keygen_site.api import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.models import Policy
from licensing.serializers import PolicySerializer, ProductSerializer
from pools.filters import KeyFilterSet
from pools.models import Key
from pools.serializers import KeySerializer
from pools.services import delete_key


class KeyViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, AccountViewSet):
    """Keys that wait in the pools of an account (contract: keys 1.1, 2)."""

    queryset = Key.objects.select_related("policy", "policy__product")
    serializer_class = KeySerializer
    filterset_class = KeyFilterSet
    permissions = {
        "list": "key.read",
        "retrieve": "key.read",
        "create": "key.create",
        "partial_update": "key.update",
        "destroy": "key.delete",
        "product": "product.read",
        "policy": "policy.read",
    }

    def get_queryset(self):
        return super().get_queryset().available()

    def perform_destroy(self, key):
        delete_key(key, self.origin)

    @action(detail=True)
    def product(self, request, *args, **kwargs):
        return Response(ProductSerializer.resource_object(self.get_object().policy.product))

    @action(detail=True)
    def policy(self, request, *args, **kwargs):
        return Response(PolicySerializer.resource_object(self.get_object().policy))


class PoolViewSet(RetrieveMixin, ListMixin, AccountViewSet):
    """The pool of a policy (contract: keys 1.2, 6)."""

    queryset = Key.objects.select_related("policy")
    serializer_class = KeySerializer
    permissions = {
        "list": "key.read",
        "retrieve": "key.read",
        "pop": "policy.pool.pop",
    }

    def find_parent(self):
        self.policy = self.find(Policy.objects.visible_to(self.request.user), self.kwargs["policy"])

    def get_queryset(self):
        pool = super().get_queryset().filter(policy=self.policy).available()
        return pool if self.policy.use_pool else pool.none()

    def pop(self, request, *args, **kwargs):
        """Take the next key out of the pool. It is the answer, and nobody gets it again."""
        key = self.policy.pool.pop(self.origin)
        return Response(KeySerializer.resource_object(key))
