"""The console of the pools. Its lists are meant for ten million keys: nothing here counts to the end."""

from pools.admin.keys import KeyAdmin
from pools.admin.ledger import KeyEventAdmin, KeyImportAdmin
from pools.admin.policies import PooledPolicyAdmin
from pools.admin.uploads import KeyUploadAdmin

__all__ = ["KeyAdmin", "KeyEventAdmin", "KeyImportAdmin", "KeyUploadAdmin", "PooledPolicyAdmin"]
