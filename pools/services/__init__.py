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
    withdraw_import,
    withdraw_key,
)

__all__ = [
    "KeyHeldByLicense",
    "KeyNotFound",
    "KeyPopped",
    "KeyRefused",
    "KeyRevealed",
    "KeyWaiting",
    "KeyWithdrawn",
    "delete_key",
    "pop_keys",
    "return_key",
    "withdraw_import",
    "withdraw_key",
]
