from pools.services.counts import PoolCounts, count_pools
from pools.services.exports import STATES, export_keys
from pools.services.imports import ImportRejected, ImportReport, Rejection, import_keys, importing
from pools.services.keys import (
    KeyHeldByLicense,
    KeyNotFound,
    KeyPopped,
    KeyRefused,
    KeyRevealed,
    KeyWaiting,
    KeyWithdrawn,
    delete_key,
    pop_keys,
    return_key,
    reveal_key,
    withdraw_import,
    withdraw_key,
)

__all__ = [
    "ImportRejected",
    "ImportReport",
    "KeyHeldByLicense",
    "KeyNotFound",
    "KeyPopped",
    "KeyRefused",
    "KeyRevealed",
    "KeyWaiting",
    "KeyWithdrawn",
    "STATES",
    "PoolCounts",
    "Rejection",
    "count_pools",
    "delete_key",
    "export_keys",
    "import_keys",
    "importing",
    "pop_keys",
    "return_key",
    "reveal_key",
    "withdraw_import",
    "withdraw_key",
]
