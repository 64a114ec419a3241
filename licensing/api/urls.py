from accounts.api.filters import UserFilterSet
from keygen_site.jsonapi.routers import AttachmentRouter, NamedRouter, Router
from licensing.api.user_filters import HolderFilterSet
from licensing.api.viewsets.entitlements import (
    EntitlementViewSet,
    LicenseEntitlementViewSet,
    PolicyEntitlementViewSet,
)
from licensing.api.viewsets.groups import GroupLicenseViewSet, GroupMachineViewSet
from licensing.api.viewsets.license_base import ANY_TEXT
from licensing.api.viewsets.license_relationships import LicenseTokenViewSet, LicenseUserViewSet
from licensing.api.viewsets.licenses import LicenseViewSet, UserLicenseViewSet
from licensing.api.viewsets.machine_parts import (
    ComponentViewSet,
    MachineComponentViewSet,
    MachineProcessViewSet,
    ProcessViewSet,
)
from licensing.api.viewsets.machines import (
    LicenseMachineViewSet,
    MachineViewSet,
    ProductMachineViewSet,
    UserMachineViewSet,
)
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


UserFilterSet.include(HolderFilterSet)

router = Router()
router.register("products", ProductViewSet)
router.register(r"products/(?P<product>[^/]+)/policies", ProductPolicyViewSet, basename="product-policies")
router.register(r"products/(?P<product>[^/]+)/tokens", ProductTokenViewSet, basename="product-tokens")
router.register("policies", PolicyViewSet)
router.register("entitlements", EntitlementViewSet)
router.register(r"users/(?P<user>[^/]+)/products", UserProductViewSet, basename="user-products")
router.register("components", ComponentViewSet)
router.register("processes", ProcessViewSet)
router.register(r"machines/(?P<machine>[^/]+)/components", MachineComponentViewSet, basename="machine-components")
router.register(r"machines/(?P<machine>[^/]+)/processes", MachineProcessViewSet, basename="machine-processes")

named_router = NamedRouter()
named_router.register("machines", MachineViewSet)
named_router.register(r"products/(?P<product>[^/]+)/machines", ProductMachineViewSet, basename="product-machines")
named_router.register(r"users/(?P<user>[^/]+)/machines", UserMachineViewSet, basename="user-machines")
named_router.register(r"products/(?P<product>[^/]+)/licenses", ProductLicenseViewSet, basename="product-licenses")
named_router.register(r"products/(?P<product>[^/]+)/users", ProductUserViewSet, basename="product-users")
named_router.register(r"policies/(?P<policy>[^/]+)/licenses", PolicyLicenseViewSet, basename="policy-licenses")
named_router.register(r"users/(?P<user>[^/]+)/licenses", UserLicenseViewSet, basename="user-licenses")
named_router.register(r"groups/(?P<group>[^/]+)/licenses", GroupLicenseViewSet, basename="group-licenses")
named_router.register(r"groups/(?P<group>[^/]+)/machines", GroupMachineViewSet, basename="group-machines")

below = rf"licenses/(?P<license>{ANY_TEXT})"
machine_router = NamedRouter()
machine_router.register(f"{below}/machines", LicenseMachineViewSet, basename="license-machines")
attachment_router = AttachmentRouter()
attachment_router.register(f"{below}/users", LicenseUserViewSet, basename="license-users")
attachment_router.register(f"{below}/entitlements", LicenseEntitlementViewSet, basename="license-entitlements")
attachment_router.register(
    r"policies/(?P<policy>[^/]+)/entitlements", PolicyEntitlementViewSet, basename="policy-entitlements"
)
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
    *machine_router.urls,
    *attachment_router.urls,
    *token_router.urls,
    *member_urls,
]
