from licensing.models.licenses import License, LicenseUser
from licensing.models.policies import Policy, PoolEmpty, PoolNotSupported
from licensing.models.products import Product

__all__ = ["License", "LicenseUser", "Policy", "PoolEmpty", "PoolNotSupported", "Product"]
