"""The console of products, policies, licenses, machines, entitlements, groups and customers.

Importing the modules registers them.
"""

from licensing.admin import (  # noqa: F401
    customers,
    entitlements,
    groups,
    licenses,
    machines,
    policies,
    products,
)
