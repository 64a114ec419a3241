from accounts.api.base import APIViewSet
from accounts.api.filters import UserFilterSet
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.models import User
from accounts.permissions import Forbidden
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.filters import ProductLicenseFilterSet
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.nested import NestedLicenseViewSet, NestedViewSet, OfUser, StaffAndProductOnly
from licensing.models import Policy, Product


class ProductViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
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


class ProductUserViewSet(OfProduct, NestedViewSet):
    """The users who hold a license of a product."""

    queryset = User.objects.with_activity()
    serializer_class = UserSerializer
    filterset_class = UserFilterSet
    permissions = {"list": "user.read", "retrieve": "user.read"}

    def get_queryset(self):
        return super().get_queryset().for_product(self.product.pk)


class UserProductViewSet(OfUser, NestedViewSet):
    """The products of which a user holds a license."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    permissions = {"list": "product.read", "retrieve": "product.read"}

    def get_queryset(self):
        return super().get_queryset().for_user(self.user.pk)


class ProductTokenViewSet(OfProduct, StaffAndProductOnly, BearerTokenViewSet):
    """The tokens that speak for a product."""

    permissions = BearerTokenViewSet.permissions | {"create": "product.tokens.generate"}

    def find_parent(self):
        super().find_parent()
        self.bearer = self.product
