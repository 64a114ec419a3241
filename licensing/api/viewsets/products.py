"""Products, and the resources below them, over HTTP."""

from datetime import datetime
from typing import Any

from accounts.api.base import APIViewSet
from accounts.api.filters import RoleFilterSet
from accounts.api.serializers.tokens import BEARER_TOKEN, TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.models import User
from accounts.models.tokens import content_type_of
from accounts.permissions import Forbidden
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.operations import operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.filters import ProductLicenseFilterSet
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.user_filters import holders_for_page
from licensing.api.viewsets.nested import NestedLicenseViewSet, NestedViewSet, StaffAndProductOnly
from licensing.models import License, Policy, Product


class ProductViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The products of an account (contract: keys 1.4, 8)."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer

    def authorize(self, row: Product | None = None) -> None:
        super().authorize(row)
        # A product may read itself, but not list products (contract: keys 5.4).
        if self.action == "list" and self.request.user.role == "product":
            raise Forbidden


class ProductPolicyViewSet(NestedViewSet):
    """The policies of a product."""

    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    parent = Parent(
        "product", Product.objects.all(), narrow=lambda policies, product_id: policies.filter(product=product_id)
    )


class ProductLicenseViewSet(StaffAndProductOnly, NestedLicenseViewSet):
    """The licenses of a product."""

    filterset_class = ProductLicenseFilterSet
    parent = Parent(
        "product", Product.objects.all(), narrow=lambda licenses, product_id: licenses.filter(product=product_id)
    )


class ProductUserViewSet(NestedViewSet):
    """The users who hold a license of a product."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_class = RoleFilterSet
    parent = Parent(
        "product",
        Product.objects.all(),
        narrow=lambda users, product_id: users.filter(holders_for_page(License.objects.filter(product=product_id))),
    )

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        return User.objects.with_activity(now)


class UserProductViewSet(NestedViewSet):
    """The products of which a user holds a license."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    parent = Parent("user", User.objects.all(), narrow=lambda products, user_id: products.for_user(user_id))


class ProductTokenViewSet(StaffAndProductOnly, BearerTokenViewSet):
    """The tokens of a product."""

    parent = Parent(
        "product",
        Product.objects.all(),
        narrow=lambda tokens, product_id: tokens.filter(bearer_type=content_type_of(Product), bearer_id=product_id),
    )
    product: Product

    @operation(
        "Create a token for a product",
        permission="product.tokens.generate",
        takes=BEARER_TOKEN,
        gives=TokenSerializer,
        locks=False,
        idempotent=False,
        document_first=True,
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> dict[str, Any]:
        """The token's text is in this response only."""
        return self.create_token(self.product, document)
