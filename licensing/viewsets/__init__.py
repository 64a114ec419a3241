from licensing.viewsets.policies import PolicyLicenseViewSet, PolicyViewSet
from licensing.viewsets.products import ProductLicenseViewSet, ProductPolicyViewSet, ProductViewSet

__all__ = [
    "PolicyLicenseViewSet",
    "PolicyViewSet",
    "ProductLicenseViewSet",
    "ProductPolicyViewSet",
    "ProductViewSet",
]
