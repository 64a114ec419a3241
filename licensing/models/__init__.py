from licensing.models.products import Product
from licensing.models.policies import Policy, PoolEmpty, PoolNotSupported
from licensing.models.licenses import License, LicenseUser

__all__ = ["License", "LicenseUser", "Policy", "PoolEmpty", "PoolNotSupported", "Product"]
