from licensing.models.components import Component
from licensing.models.entitlements import Entitlement, LicenseEntitlement, PolicyEntitlement
from licensing.models.license_users import LicenseUser
from licensing.models.licenses import License
from licensing.models.machines import Machine
from licensing.models.policies import Policy, PoolEmpty, PoolNotSupported
from licensing.models.processes import Process
from licensing.models.products import Product

__all__ = [
    "Component",
    "Entitlement",
    "License",
    "LicenseEntitlement",
    "LicenseUser",
    "Machine",
    "Policy",
    "PolicyEntitlement",
    "PoolEmpty",
    "PoolNotSupported",
    "Process",
    "Product",
]
