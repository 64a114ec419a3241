"""Encryption at rest: secrets in the database are encrypted with keys that are not in the database.

The algorithm is AES-256-GCM with a random nonce of 96 bits. The purpose of a value is its associated data, so a value
that is copied to another column does not decrypt. A stored value begins with a marker and the id of its key. Values
that were written before the setting KEY_ENCRYPTION_KEYS was set have no marker and are read as they are; a value in
clear that begins with the marker is stored behind a marker with an empty id.

    private = EncryptedTextField(purpose="signing key")

Migrations see the plain field of Django: encryption changes no column, and a data migration reads stored forms.
"""

import base64
import binascii
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.lookups import Exact

from keygen_site.encryption_keys import Keyring, parse_keys

# Of texts. Keys of pools and licenses, and PEMs, have no control characters but line feeds.
TEXT_MARKER = "\x01"
# Of bytes. An uploaded file may begin with anything, so this is long.
BYTES_MARKER = b"\x01keygen-encrypted\x01"
NONCE_BYTES = 12


class DecryptionError(Exception):
    """A stored value needs a key that is not configured, or was changed."""


def keyring() -> Keyring:
    """The keys of the setting KEY_ENCRYPTION_KEYS."""
    return parse_keys(settings.KEY_ENCRYPTION_KEYS)


def text_encrypter(purpose: str) -> Callable[[str], str]:
    """A function that encrypts texts with the current key, faster than `encrypt_text` for each."""
    current, ciphers = keyring()
    if current is None:
        return _escape_text
    encrypt, data, prefix = ciphers[current].encrypt, purpose.encode(), text_prefix(current)
    urandom, encode = os.urandom, binascii.b2a_base64

    def encrypt_text(text: str) -> str:
        nonce = urandom(NONCE_BYTES)
        return prefix + encode(nonce + encrypt(nonce, text.encode(), data), newline=False).decode("ascii")

    return encrypt_text


def encrypt_text(text: str, purpose: str) -> str:
    """The stored form of a text: encrypted with the current key, or in clear if there is none."""
    return text_encrypter(purpose)(text)


def decrypt_text(stored: str, purpose: str) -> str:
    """The text of a stored form.

    Raises:
        DecryptionError: its key is not configured, or the value was changed or is of another purpose.
    """
    if not stored.startswith(TEXT_MARKER):
        return stored
    key_id, _, rest = stored[len(TEXT_MARKER) :].partition(":")
    if not key_id:
        return rest
    return _decrypt(key_id, base64.b64decode(rest), purpose).decode()


def encrypt_bytes(value: bytes, purpose: str) -> bytes:
    """The stored form of bytes: encrypted with the current key, or in clear if there is none."""
    current, ciphers = keyring()
    if current is None:
        return bytes_prefix("") + value if value.startswith(BYTES_MARKER) else value
    nonce = os.urandom(NONCE_BYTES)
    encrypted = ciphers[current].encrypt(nonce, value, purpose.encode())
    return b"".join([bytes_prefix(current), nonce, encrypted])


def decrypt_bytes(stored: bytes, purpose: str) -> bytes:
    """The bytes of a stored form.

    Raises:
        DecryptionError: as for texts.
    """
    if not stored.startswith(BYTES_MARKER):
        return stored
    key_id, _, rest = stored[len(BYTES_MARKER) :].partition(b":")
    return _decrypt(key_id.decode(), rest, purpose) if key_id else rest


def text_prefix(key_id: str) -> str:
    """The beginning of all texts that are encrypted with a key."""
    return f"{TEXT_MARKER}{key_id}:"


def bytes_prefix(key_id: str) -> bytes:
    """The beginning of all bytes that are encrypted with a key."""
    return b"".join([BYTES_MARKER, key_id.encode(), b":"])


def _escape_text(text: str) -> str:
    return text_prefix("") + text if text.startswith(TEXT_MARKER) else text


def _decrypt(key_id: str, encrypted: bytes, purpose: str) -> bytes:
    cipher = keyring().ciphers.get(key_id)
    if cipher is None:
        raise DecryptionError(f"A stored value needs the key {key_id}, which KEY_ENCRYPTION_KEYS does not have.")
    try:
        return cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):
        message = f"A stored value does not decrypt with the key {key_id} of KEY_ENCRYPTION_KEYS."
        raise DecryptionError(message) from None


class EncryptedField(models.Field, ABC):
    """Base of fields whose values are encrypted in the database. An empty value is stored as it is.

    Queries can only compare them with null and with an empty value.

    Attributes:
        purpose: the kind of value. It is part of the encryption and must never change.
    """

    plain_class: type[models.Field] = models.Field
    marker: Any  # the beginning of stored values that are encrypted
    prefix: Callable[[str], Any]  # the beginning of those that are encrypted with a key

    def __init__(self, *args: Any, purpose: str, **options: Any) -> None:
        self.purpose = purpose
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, f"django.db.models.{self.plain_class.__name__}", args, options

    def clone(self) -> Any:
        _, _, args, options = self.deconstruct()
        return type(self)(*args, purpose=self.purpose, **options)

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "exact":
            return _IsEmpty
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def get_transform(self, lookup_name: str) -> Any:
        return None

    def is_current(self, stored: Any) -> bool:
        """Whether a stored value is encrypted with the current key or, without one, in clear."""
        current = keyring().current
        stored = bytes(stored) if isinstance(stored, memoryview) else stored
        if not stored:
            return True
        if not isinstance(stored, type(self.marker)):
            return current is None  # JSON in clear
        if current is None:
            return not stored.startswith(self.marker) or stored.startswith(self.prefix(""))
        return stored.startswith(self.prefix(current))

    def encrypt(self, value: Any) -> Any:
        """The stored form of a value that is not empty."""
        if keyring().current is not None:
            # Before its first use, the current key is written down as one that the database needs.
            from keygen_site.db.key_digests import key_digester

            key_digester()
        return self.encrypt_value(value)

    @abstractmethod
    def encrypt_value(self, value: Any) -> Any:
        """The stored form of a value, with the current key or in clear."""

    @abstractmethod
    def decrypt(self, stored: Any) -> Any:
        """The value of a stored form."""


class _IsEmpty(Exact):
    def __init__(self, lhs: Any, rhs: Any) -> None:
        if rhs not in ("", b"", None):
            raise FieldError("An encrypted value can only be compared with an empty one.")
        super().__init__(lhs, rhs)


class EncryptedTextField(EncryptedField, models.TextField):
    """A text that is encrypted in the database."""

    plain_class = models.TextField
    marker, prefix = TEXT_MARKER, staticmethod(text_prefix)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return self.encrypt(value) if value else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.decrypt(value) if value and value[0] == TEXT_MARKER else value

    def encrypt_value(self, value: str) -> str:
        return encrypt_text(value, self.purpose)

    def decrypt(self, stored: str) -> str:
        return decrypt_text(stored, self.purpose)


class EncryptedBinaryField(EncryptedField, models.BinaryField):
    """Bytes that are encrypted in the database."""

    plain_class = models.BinaryField
    marker, prefix = BYTES_MARKER, staticmethod(bytes_prefix)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return self.encrypt(bytes(value)) if value else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.decrypt(bytes(value)) if value else value

    def encrypt_value(self, value: bytes) -> bytes:
        return encrypt_bytes(value, self.purpose)

    def decrypt(self, stored: bytes) -> bytes:
        return decrypt_bytes(stored, self.purpose)


class EncryptedJSONField(EncryptedField, models.JSONField):
    """JSON that is encrypted in the database, where it is a JSON string."""

    plain_class = models.JSONField
    marker, prefix = TEXT_MARKER, staticmethod(text_prefix)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value(self.encrypt(value) if value else value, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        value = super().from_db_value(value, expression, connection)
        return self.decrypt(value) if isinstance(value, str) else value

    def encrypt_value(self, value: Any) -> Any:
        if keyring().current is None:
            return _escape_text(value) if isinstance(value, str) else value
        return encrypt_text(json.dumps(value, cls=self.encoder), self.purpose)

    def decrypt(self, stored: str) -> Any:
        text = decrypt_text(stored, self.purpose)
        is_in_clear = text is stored or stored.startswith(text_prefix(""))
        return text if is_in_clear else json.loads(text, cls=self.decoder)
