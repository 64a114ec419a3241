"""Encryption at rest: secrets in the database are encrypted with keys that are not in the database.

The algorithm is AES-256-GCM with a random nonce of 96 bits. The purpose of a value is its associated data, so a value
that is copied to another column does not decrypt. A stored value begins with a marker and the id of its key. Values
that were written before the setting KEY_ENCRYPTION_KEYS was set have no marker and are read as they are; a value in
clear that begins with the marker is stored behind a marker with an empty id.

    private = EncryptedTextField(purpose="signing key")

Migrations see the plain field of Django: encryption changes no column.
"""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.db import models

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
    encrypt, data, prefix = ciphers[current].encrypt, purpose.encode(), f"{TEXT_MARKER}{current}:"
    urandom, b64encode = os.urandom, base64.b64encode

    def encrypt_text(text: str) -> str:
        nonce = urandom(NONCE_BYTES)
        return prefix + b64encode(nonce + encrypt(nonce, text.encode(), data)).decode("ascii")

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
        return BYTES_MARKER + b":" + value if value.startswith(BYTES_MARKER) else value
    nonce = os.urandom(NONCE_BYTES)
    encrypted = ciphers[current].encrypt(nonce, value, purpose.encode())
    return b"".join([BYTES_MARKER, current.encode(), b":", nonce, encrypted])


def decrypt_bytes(stored: bytes, purpose: str) -> bytes:
    """The bytes of a stored form.

    Raises:
        DecryptionError: as for texts.
    """
    if not stored.startswith(BYTES_MARKER):
        return stored
    key_id, _, rest = stored[len(BYTES_MARKER) :].partition(b":")
    return _decrypt(key_id.decode(), rest, purpose) if key_id else rest


def _escape_text(text: str) -> str:
    return f"{TEXT_MARKER}:{text}" if text.startswith(TEXT_MARKER) else text


def _decrypt(key_id: str, encrypted: bytes, purpose: str) -> bytes:
    cipher = keyring().ciphers.get(key_id)
    if cipher is None:
        raise DecryptionError(f"A stored value needs the key {key_id}, which KEY_ENCRYPTION_KEYS does not have.")
    try:
        return cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):
        message = f"A stored value does not decrypt with the key {key_id} of KEY_ENCRYPTION_KEYS."
        raise DecryptionError(message) from None


class EncryptedField(models.Field):
    """Base of fields whose values are encrypted in the database. Queries cannot compare them, except with null.

    An empty value is stored as it is.

    Attributes:
        purpose: what the value is. It must never change: it is part of the encryption.
    """

    plain_class: type[models.Field] = models.Field

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
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def get_transform(self, lookup_name: str) -> Any:
        return None

    def encrypt(self, value: Any) -> Any:
        """The stored form of a value that is not empty."""
        raise NotImplementedError

    def decrypt(self, stored: Any) -> Any:
        """The value of a stored form."""
        raise NotImplementedError


class EncryptedTextField(EncryptedField, models.TextField):
    """A text that is encrypted in the database."""

    plain_class = models.TextField

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return self.encrypt(value) if value else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.decrypt(value) if value and value[0] == TEXT_MARKER else value

    def encrypt(self, value: str) -> str:
        return encrypt_text(value, self.purpose)

    def decrypt(self, stored: str) -> str:
        return decrypt_text(stored, self.purpose)


class EncryptedBinaryField(EncryptedField, models.BinaryField):
    """Bytes that are encrypted in the database."""

    plain_class = models.BinaryField

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return self.encrypt(bytes(value)) if value else value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.decrypt(bytes(value)) if value else value

    def encrypt(self, value: bytes) -> bytes:
        return encrypt_bytes(value, self.purpose)

    def decrypt(self, stored: bytes) -> bytes:
        return decrypt_bytes(stored, self.purpose)


class EncryptedJSONField(EncryptedField, models.JSONField):
    """JSON that is encrypted in the database, where it is a JSON string."""

    plain_class = models.JSONField

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return super().get_db_prep_value(self.encrypt(value) if value else value, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        value = super().from_db_value(value, expression, connection)
        return self.decrypt(value) if isinstance(value, str) else value

    def encrypt(self, value: Any) -> Any:
        if keyring().current is None and not isinstance(value, str):
            return value
        return encrypt_text(json.dumps(value, cls=self.encoder), self.purpose)

    def decrypt(self, stored: str) -> Any:
        text = decrypt_text(stored, self.purpose)
        # A string in clear, which an earlier release has written.
        return text if text is stored else json.loads(text, cls=self.decoder)
