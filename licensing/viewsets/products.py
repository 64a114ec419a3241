from accounts.api import AccountViewSet
from accounts.permissions import Forbidden
from keygen_site.api import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.filters import ProductLicenseFilterSet
from licensing.models import Policy, Product
from licensing.serializers import PolicySerializer, ProductSerializer
from licensing.viewsets.nested import NestedLicenseViewSet, NestedViewSet


class ProductViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, AccountViewSet):
    """The products of an account (contract: keys 1.4, 8)."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    permissions = {
        "list": "product.read",
        "retrieve": "product.read",
        "create": "product.create",
        "partial_update": "product.update",
        "destroy": "product.delete",
    }

    def authorize(self):
        super().authorize()
        # A product may read itself, but is no reader of lists of products (contract: keys 5.4).
        if self.action == "list" and self.request.user.role == "product":
            raise Forbidden


class OfProduct:
    """Mixin of what is below a product, which the address names by id or code."""

    def find_parent(self):
        self.product = self.find(Product.objects.visible_to(self.request.user), self.kwargs["product"])


class ProductPolicyViewSet(OfProduct, NestedViewSet):
    """The policies of a product."""

    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    permissions = {"list": "policy.read", "retrieve": "policy.read"}

    def get_queryset(self):
        return super().get_queryset().filter(product=self.product)


class ProductLicenseViewSet(OfProduct, NestedLicenseViewSet):
    """The licenses of a product."""

    filterset_class = ProductLicenseFilterSet

    def get_queryset(self):
        return super().get_queryset().filter(product=self.product)
