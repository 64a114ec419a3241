from licensing.viewsets.licenses import LicenseViewSet
from licensing.viewsets.policies import PolicyLicenseViewSet, PolicyViewSet
from licensing.viewsets.products import (
    ProductLicenseViewSet,
    ProductPolicyViewSet,
    ProductTokenViewSet,
    ProductUserViewSet,
    ProductViewSet,
)

__all__ = [
    "LicenseViewSet",
    "PolicyLicenseViewSet",
    "PolicyViewSet",
    "ProductLicenseViewSet",
    "ProductPolicyViewSet",
    "ProductTokenViewSet",
    "ProductUserViewSet",
    "ProductViewSet",
]
