"""License and machine files: documents signed by the account, for use offline (contract: licenses 7.6, machines 7.1).

`licensing.api.serializers.check_out` and `machine_check_out` make the documents.
"""

import base64
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.signing import purposes
from accounts.signing.purposes import Purpose
from keygen_site.jsonapi import codec
from licensing.signed_keys import sign

BASE64, AES_256_GCM = "base64", "aes-256-gcm"
ENCODINGS = (BASE64, AES_256_GCM)
_LINE_LENGTH = 60
_TAG_LENGTH = 16  # bytes


@dataclass(frozen=True)
class FileKind:
    """A kind of files.

    Attributes:
        purpose: the purpose of the account's signature.
        noun: the beginning of the signed text and of the file's name for itself, e.g. `license`.
    """

    purpose: Purpose
    noun: str


LICENSE_FILE = FileKind(purposes.LICENSE_FILE, "license")
MACHINE_FILE = FileKind(purposes.MACHINE_FILE, "machine")


def render_certificate(
    kind: FileKind, document: dict[str, Any], account_id: UUID, *, secret: str, encoding: str, signature: str
) -> str:
    """The text of a file.

    Args:
        document: the content, serializable as JSON.
        account_id: the account that signs it.
        secret: decrypts an encrypted file: the license key, for a machine file followed by the fingerprint.
        encoding: one of `ENCODINGS`.
        signature: one of `accounts.signing.algorithms.KEY_KIND_BY_ALGORITHM`.
    """
    content = codec.dumps(document)
    encoded = _base64(content) if encoding == BASE64 else _encrypt_aes_gcm(content, secret)
    signed = sign(kind.purpose, account_id, signature, f"{kind.noun}/{encoded}".encode())
    text = _base64(orjson.dumps({"enc": encoded, "sig": _base64(signed), "alg": f"{encoding}+{signature}"}))
    lines = [text[start : start + _LINE_LENGTH] for start in range(0, len(text), _LINE_LENGTH)]
    name = f"{kind.noun.upper()} FILE"
    return "\n".join([f"-----BEGIN {name}-----", *lines, f"-----END {name}-----", ""])


def _encrypt_aes_gcm(content: bytes, secret: str) -> str:
    """AES-256-GCM with the SHA-256 of the secret: ciphertext, initialization vector and tag."""
    vector = os.urandom(12)
    encrypted = AESGCM(sha256(secret.encode()).digest()).encrypt(vector, content, None)
    return ".".join(_base64(part) for part in (encrypted[:-_TAG_LENGTH], vector, encrypted[-_TAG_LENGTH:]))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
