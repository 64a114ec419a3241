from licensing.viewsets.license_relationships import LicenseTokenViewSet, LicenseUserViewSet
from licensing.viewsets.licenses import LicenseViewSet, UserLicenseViewSet
from licensing.viewsets.policies import PolicyLicenseViewSet, PolicyViewSet
from licensing.viewsets.products import (
    ProductLicenseViewSet,
    ProductPolicyViewSet,
    ProductTokenViewSet,
    ProductUserViewSet,
    ProductViewSet,
    UserProductViewSet,
)

__all__ = [
    "LicenseTokenViewSet",
    "LicenseUserViewSet",
    "LicenseViewSet",
    "PolicyLicenseViewSet",
    "PolicyViewSet",
    "ProductLicenseViewSet",
    "ProductPolicyViewSet",
    "ProductTokenViewSet",
    "ProductUserViewSet",
    "ProductViewSet",
    "UserLicenseViewSet",
    "UserProductViewSet",
]
