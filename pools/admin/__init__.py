"""The console of pools, keys, imports and activity. Importing the modules registers their pages."""

from pools.admin import (  # noqa: F401
    activity,
    inbox,
    key_imports,
    keys,
    licenses,
    moves,
    overview,
    pending_imports,
    policies,
    pools,
    search,
)
