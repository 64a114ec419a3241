"""License files: what a license is, signed by the account, to be looked at offline (contract: licenses 7.6).

Plain functions over bytes and texts; what is in the document is said elsewhere.
"""

import base64
import os
from hashlib import sha256

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.signing.algorithms import KEY_KIND_BY_ALGORITHM
from licensing.signed_keys import sign

PLAIN, SEALED = "base64", "aes-256-gcm"
ENCODINGS = (PLAIN, SEALED)
SIGNATURES = tuple(KEY_KIND_BY_ALGORITHM)
_LINE = 60
_TAG = 16  # bytes


def certificate(document, license, *, encoding, signature):
    """The text of a license file.

    Args:
        document: what it says, as JSON can.
        license: the license; whoever has its key can open a file that is sealed.
        encoding, signature: one of `ENCODINGS` and one of `SIGNATURES`.
    """
    content = orjson.dumps(document)
    encoded = _base64(content) if encoding == PLAIN else _sealed(content, license.key)
    signed = sign(license.account_id, signature, f"license/{encoded}".encode())
    payload = orjson.dumps({"enc": encoded, "sig": _base64(signed), "alg": f"{encoding}+{signature}"})
    text = _base64(payload)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join(["-----BEGIN LICENSE FILE-----", *lines, "-----END LICENSE FILE-----", ""])


def _sealed(content, key):
    """AES-256-GCM with the SHA-256 of the license key: cipher text, initialisation vector and tag."""
    vector = os.urandom(12)
    sealed = AESGCM(sha256(key.encode()).digest()).encrypt(vector, content, None)
    return ".".join(_base64(part) for part in (sealed[:-_TAG], vector, sealed[-_TAG:]))


def _base64(content):
    return base64.b64encode(content).decode()
