from accounts.api.filters import UserFilterSet
from keygen_site.jsonapi.routers import NamedRouter, Router
from licensing.api.user_filters import HolderFilterSet
from licensing.api.viewsets.license_base import ANY_TEXT
from licensing.api.viewsets.license_relationships import LicenseTokenViewSet, LicenseUserViewSet
from licensing.api.viewsets.licenses import LicenseViewSet, UserLicenseViewSet
from licensing.api.viewsets.policies import PolicyLicenseViewSet, PolicyViewSet
from licensing.api.viewsets.products import (
    ProductLicenseViewSet,
    ProductPolicyViewSet,
    ProductTokenViewSet,
    ProductUserViewSet,
    ProductViewSet,
    UserProductViewSet,
)


class LicenseRouter(NamedRouter):
    """Matches the URLs below a license before the license itself, whose identifier may have any form."""

    def __init__(self) -> None:
        super().__init__()
        collection, of_collection, member, of_member = self.routes
        self.routes = [collection, of_collection, of_member, member]


class LicenseUserRouter(NamedRouter):
    """Below a license, users are attached and detached, several per request."""

    collection = {"get": "list", "post": "attach", "delete": "detach"}
    member = {"get": "retrieve"}


UserFilterSet.include(HolderFilterSet)

router = Router()
router.register("products", ProductViewSet)
router.register(r"products/(?P<product>[^/]+)/policies", ProductPolicyViewSet, basename="product-policies")
router.register(r"products/(?P<product>[^/]+)/tokens", ProductTokenViewSet, basename="product-tokens")
router.register("policies", PolicyViewSet)
router.register(r"users/(?P<user>[^/]+)/products", UserProductViewSet, basename="user-products")

named_router = NamedRouter()
named_router.register(r"products/(?P<product>[^/]+)/licenses", ProductLicenseViewSet, basename="product-licenses")
named_router.register(r"products/(?P<product>[^/]+)/users", ProductUserViewSet, basename="product-users")
named_router.register(r"policies/(?P<policy>[^/]+)/licenses", PolicyLicenseViewSet, basename="policy-licenses")
named_router.register(r"users/(?P<user>[^/]+)/licenses", UserLicenseViewSet, basename="user-licenses")

below = rf"licenses/(?P<license>{ANY_TEXT})"
user_router = LicenseUserRouter()
user_router.register(f"{below}/users", LicenseUserViewSet, basename="license-users")
token_router = Router()
token_router.register(f"{below}/tokens", LicenseTokenViewSet, basename="license-tokens")
license_router = LicenseRouter()
license_router.register("licenses", LicenseViewSet)

# The collection comes first: licenses are issued and validated most often. Single licenses come last: an identifier may
# look like any other URL.
collection_urls = [url for url in license_router.urls if "pk" not in url.pattern.regex.groupindex]
member_urls = [url for url in license_router.urls if url not in collection_urls]
urlpatterns = [
    *collection_urls,
    *router.urls,
    *named_router.urls,
    *user_router.urls,
    *token_router.urls,
    *member_urls,
]
