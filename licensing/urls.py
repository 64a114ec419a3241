from keygen_site.api import Router
from licensing.viewsets import (
    LicenseViewSet,
    PolicyLicenseViewSet,
    PolicyViewSet,
    ProductLicenseViewSet,
    ProductPolicyViewSet,
    ProductTokenViewSet,
    ProductUserViewSet,
    ProductViewSet,
)

router = Router()
router.register("products", ProductViewSet)
router.register(r"products/(?P<product>[^/]+)/policies", ProductPolicyViewSet, basename="product-policies")
router.register(r"products/(?P<product>[^/]+)/licenses", ProductLicenseViewSet, basename="product-licenses")
router.register(r"products/(?P<product>[^/]+)/users", ProductUserViewSet, basename="product-users")
router.register(r"products/(?P<product>[^/]+)/tokens", ProductTokenViewSet, basename="product-tokens")
router.register("policies", PolicyViewSet)
router.register(r"policies/(?P<policy>[^/]+)/licenses", PolicyLicenseViewSet, basename="policy-licenses")

router.register("licenses", LicenseViewSet)

urlpatterns = router.urls
