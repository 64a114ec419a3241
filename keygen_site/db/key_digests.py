"""Keyed digests of the texts of keys: a stolen database does not reveal a short key by guessing.

A digest is the HMAC-SHA-256 of the SHA-256 of the text, under the installation's digest key. That key is made by a
migration and never changes, so a text has one digest under any KEY_ENCRYPTION_KEYS: its uniqueness holds while
encryption is turned on or off and while keys are rotated.

The table `keygen_site_digestkey` has the digest key once for each encryption key in use, encrypted with it; without
encryption the table has it in clear, under an empty id. So the rows tell which encryption keys the database needs.
"""

import base64
import os
import struct
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, OperationalError, ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from keygen_site.encryption import DecryptionError, decrypt_text, encrypt_text, keyring

TABLE, PURPOSE = "keygen_site_digestkey", "digest key"
DIGEST_KEY_BYTES = 32
ENDING_CHARACTERS = 4
_first_integer = struct.Struct(">i28x").unpack
_first_long = struct.Struct(">q24x").unpack
IN_CLEAR = ""  # the id of the row that is not encrypted


class KeyEncryptionError(ImproperlyConfigured):
    """KEY_ENCRYPTION_KEYS lacks a key that the database needs or has another one under its id, or a row is damaged."""


class KeyDigester:
    """Computes the digests of key texts.

    Args:
        key: the digest key, of 32 bytes.

    Attributes:
        inner, outer: the blocks of the HMAC, which is `sha256(outer + sha256(inner + message))`.
        ending_key: the key of the numbers of endings.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner, self.outer = bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)
        self.ending_key = self.from_sha256(b"ending")

    def digest(self, text: str) -> bytes:
        """The keyed digest of a text, 32 bytes."""
        return self.from_sha256(sha256(text.encode()).digest())

    def from_sha256(self, plain_digest: bytes) -> bytes:
        """The keyed digest of a text by its SHA-256."""
        # Faster than copies of hashes that have read their block, and than `hmac.digest`.
        return sha256(self.outer + sha256(self.inner + plain_digest).digest()).digest()

    def ending(self, text: str) -> int:
        """A number of 32 bits that texts with the same last four characters share.

        With so short a result, a hash with a secret prefix is as good as an HMAC, and faster.
        """
        return _first_integer(sha256(self.ending_key + text[-ENDING_CHARACTERS:].encode()).digest())[0]

    def number(self, text: str) -> int:
        """A number of 64 bits by which texts can be compared where an error would not matter much."""
        return _first_long(sha256(self.ending_key + text.encode()).digest())[0]

    @property
    def identity(self) -> str:
        """A text that tells this digest key from others, and does not reveal it."""
        return self.from_sha256(b"identity").hex()


class _Loaded(NamedTuple):
    """A digester with the database session and the setting for which it was loaded."""

    session: Any
    setting: str
    digester: KeyDigester


def key_digest(text: str) -> bytes:
    """The keyed digest of the text of a key, 32 bytes.

    Raises:
        KeyEncryptionError: an encryption key is missing or wrong.
    """
    return key_digester().digest(text)


def key_digester() -> KeyDigester:
    """The digester of the database. Loaded once for each connection: another session may be of another database.

    If the current encryption key is new, its row is written.

    Raises:
        KeyEncryptionError: an encryption key is missing or wrong.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    loaded: _Loaded | None = connection.__dict__.get("key_digester")
    if (
        loaded is not None
        and loaded.session is connection.connection
        and loaded.setting is settings.KEY_ENCRYPTION_KEYS
    ):
        return loaded.digester
    key, ids = read_digest_key(connection)
    current = keyring().current
    digester = KeyDigester(key)

    # The ids of rows that this session has written and not committed: after a rollback they are missing again.
    uncommitted: set[str] = connection.__dict__.setdefault("uncommitted_digest_keys", set())
    key_id = current or IN_CLEAR
    if key_id not in ids:
        write_digest_key(connection, key)
        uncommitted.add(key_id)
        transaction.on_commit(partial(uncommitted.discard, key_id))  # now, if there is no transaction
    if not (connection.in_atomic_block and key_id in uncommitted):
        connection.__dict__["key_digester"] = _Loaded(connection.connection, settings.KEY_ENCRYPTION_KEYS, digester)
    return digester


def register_current_key() -> None:
    """Make sure, when a process starts, that the database's keys are configured, and write the row of a new key.

    Does nothing if the database cannot be reached or has no tables yet: the first connection does it then.

    Raises:
        KeyEncryptionError: an encryption key is missing or wrong.
    """
    try:
        key_digester()
    except (OperationalError, ProgrammingError):
        pass
    finally:
        connections[DEFAULT_DB_ALIAS].close()


def read_digest_key(connection: BaseDatabaseWrapper) -> tuple[bytes, set[str]]:
    """The digest key, and the ids of the encryption keys that the database needs, "" for values in clear.

    Raises:
        KeyEncryptionError: an encryption key is missing or wrong.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT key_id, value FROM {TABLE}")
        rows: dict[str, str] = dict(cursor.fetchall())
    keys = {_unwrap(key_id, value) for key_id, value in rows.items()}
    if len(keys) != 1:
        raise KeyEncryptionError(f"The table {TABLE} is {'damaged' if keys else 'empty'}: restore it from a backup.")
    return keys.pop(), set(rows)


def _unwrap(key_id: str, value: str) -> bytes:
    if key_id != IN_CLEAR and key_id not in keyring().ciphers:
        raise KeyEncryptionError(f"KEY_ENCRYPTION_KEYS must have the key {key_id}: the database is encrypted with it.")
    try:
        return base64.b64decode(decrypt_text(value, PURPOSE))
    except DecryptionError:
        message = f"The key {key_id} of KEY_ENCRYPTION_KEYS is not the one with which the database is encrypted."
        raise KeyEncryptionError(message) from None


def write_digest_key(connection: BaseDatabaseWrapper, key: bytes) -> None:
    """Write the row of the current encryption key, or the one in clear if there is none, unless it exists."""
    value = encrypt_text(base64.b64encode(key).decode(), PURPOSE)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (key_id, value) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [keyring().current or IN_CLEAR, value],
        )


def delete_other_rows(connection: BaseDatabaseWrapper) -> list[str]:
    """Delete the rows of all other encryption keys: no value needs them any longer. Returns the ids of these keys."""
    with connection.cursor() as cursor:
        current = keyring().current or IN_CLEAR
        cursor.execute(f"SELECT key_id FROM {TABLE} WHERE key_id <> %s ORDER BY key_id", [current])
        others = [key_id for (key_id,) in cursor.fetchall()]
        cursor.execute(f"DELETE FROM {TABLE} WHERE key_id <> %s", [current])
    return others


def make_digest_key() -> bytes:
    """A new digest key, for a new database."""
    return os.urandom(DIGEST_KEY_BYTES)
