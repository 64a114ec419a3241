"""The keys of the setting KEY_ENCRYPTION_KEYS.

The setting is a list such as `2026b:base64-of-32-bytes,2026a:base64-of-32-bytes`. The first key encrypts, all decrypt.
Without the setting, secrets are stored in clear. `off` as the first item turns encryption off: secrets are stored in
clear, and the keys decrypt those that still are encrypted.
"""

import base64
import binascii
import re
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from environs import ValidationError

KEY_BYTES = 32
OFF = "off"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOW = (
    "Must be a list of id:key, separated by commas. Make a key with: "
    'python3 -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
)


class Keyring(NamedTuple):
    """The configured keys.

    Attributes:
        current: the id of the key that encrypts; None if secrets are stored in clear.
        ciphers: by key id, all keys that decrypt.
    """

    current: str | None
    ciphers: dict[str, AESGCM]


def validate_keys(text: str) -> None:
    """Refuse a malformed value of the setting. The error does not contain it.

    Raises:
        ValidationError: with an example of a valid value.
    """
    try:
        parse_keys(text)
    except ValueError as error:
        raise ValidationError(f"{error} {_HOW}") from None


@lru_cache(8)
def parse_keys(text: str) -> Keyring:
    """The keys of the setting.

    Raises:
        ValueError: an id or a key is malformed, or an id occurs twice.
    """
    ciphers: dict[str, AESGCM] = {}
    items = [item.strip() for item in text.split(",") if item.strip()]
    is_off = items[:1] == [OFF]
    for number, item in enumerate(items[1:] if is_off else items, 1):
        key_id, _, encoded = item.partition(":")
        if not _ID.fullmatch(key_id):
            raise ValueError(f"Key {number} has no id of 1 to 32 letters, digits, - and _.")
        if key_id in ciphers:
            raise ValueError(f"The id {key_id} occurs twice.")
        try:
            # Both alphabets of base64 are accepted.
            secret = base64.b64decode(encoded.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_BYTES:
            raise ValueError(f"Key {number} is not the base64 of {KEY_BYTES} bytes.")
        ciphers[key_id] = AESGCM(secret)
    return Keyring(None if is_off else next(iter(ciphers), None), ciphers)
