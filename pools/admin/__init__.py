"""The console of keys, imports and the ledger. Importing the modules registers them."""

from pools.admin import keys, ledger, pending_imports, policies  # noqa: F401
