"""License files: a license as a document signed by its account, for use offline (contract: licenses 7.6).

`licensing.api.serializers.check_out` makes the document.
"""

import base64
import os
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.signing.purposes import LICENSE_FILE
from keygen_site.jsonapi import codec
from licensing.models import License
from licensing.signed_keys import sign

BASE64, AES_256_GCM = "base64", "aes-256-gcm"
ENCODINGS = (BASE64, AES_256_GCM)
_LINE_LENGTH = 60
_TAG_LENGTH = 16  # bytes


def render_certificate(document: dict[str, Any], license: License, *, encoding: str, signature: str) -> str:
    """The text of a license file.

    Args:
        document: the content, serializable as JSON.
        license: the license, whose key decrypts an encrypted file.
        encoding: one of `ENCODINGS`.
        signature: one of `accounts.signing.algorithms.KEY_KIND_BY_ALGORITHM`.
    """
    content = codec.dumps(document)
    encoded = _base64(content) if encoding == BASE64 else _encrypt_aes_gcm(content, license.key)
    signed = sign(LICENSE_FILE, license.account_id, signature, f"license/{encoded}".encode())
    text = _base64(orjson.dumps({"enc": encoded, "sig": _base64(signed), "alg": f"{encoding}+{signature}"}))
    lines = [text[start : start + _LINE_LENGTH] for start in range(0, len(text), _LINE_LENGTH)]
    return "\n".join(["-----BEGIN LICENSE FILE-----", *lines, "-----END LICENSE FILE-----", ""])


def _encrypt_aes_gcm(content: bytes, key: str) -> str:
    """AES-256-GCM with the SHA-256 of the license key: ciphertext, initialization vector and tag."""
    vector = os.urandom(12)
    encrypted = AESGCM(sha256(key.encode()).digest()).encrypt(vector, content, None)
    return ".".join(_base64(part) for part in (encrypted[:-_TAG_LENGTH], vector, encrypted[-_TAG_LENGTH:]))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
