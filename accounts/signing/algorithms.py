"""Signatures that clients verify offline, e.g. of responses (contract: platform 3.4, 7.2).

Functions of keys only; `accounts.signing.key_cache` has the key of an account.
"""

import base64
import hashlib
import re
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from keygen_site.jsonapi.errors import BadRequest

PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

KEY_KINDS = ("ed25519", "rsa2048", "ecdsa")
# The kind of key that each signature algorithm needs.
KEY_KIND_BY_ALGORITHM = {
    "ed25519": "ed25519",
    "rsa-pss-sha256": "rsa2048",
    "rsa-sha256": "rsa2048",
    "ecdsa-p256": "ecdsa",
}
_ACCEPT_SIGNATURE = re.compile(
    r'\s*(?:(?:keyid="(?P<keyid>[^"]+)")?\s*,\s*)?algorithm="(?P<algorithm>[^"]+)"\s*;?\s*', re.IGNORECASE
)


class SignatureNotAccepted(BadRequest):
    """The client asks for a signature that this server cannot make."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid accept-signature header ({reason})")


def generate_private_key(kind: str) -> str:
    """A new private key of a kind, as PEM."""
    key: PrivateKey
    match kind:
        case "ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case "rsa2048":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ecdsa":
            key = ec.generate_private_key(ec.SECP256R1())
        case _:
            raise ValueError(kind)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_private_key(private: str) -> PrivateKey:
    """Parse a private key that `generate_private_key` made, from its PEM.

    The check of an RSA key that a stranger may have made is left out: it takes some fifty times as long as a signature.
    """
    return cast(PrivateKey, load_pem_private_key(private.encode(), password=None, unsafe_skip_rsa_key_validation=True))


def serialize_public_key(kind: str, private: str) -> str:
    """The public half of a private key in base64: of its PEM, or for Ed25519 of the raw key's hex digits."""
    public = load_private_key(private).public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        text = public.public_bytes_raw().hex().encode()
    else:
        text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(text).decode()


def compute_signature(algorithm: str, key: PrivateKey, message: bytes) -> bytes:
    """The signature of a message. Only `accounts.signing.purposes` calls this, so that each has a purpose.

    Raises:
        ValueError: the algorithm is unknown, or needs another kind of key.
    """
    match algorithm, key:
        case "ed25519", ed25519.Ed25519PrivateKey():
            return key.sign(message)
        case "rsa-pss-sha256", rsa.RSAPrivateKey():
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
            return key.sign(message, pss, hashes.SHA256())
        case "rsa-sha256", rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case "ecdsa-p256", ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(hashes.SHA256()))
    raise ValueError(algorithm)


def parse_accept_signature(header: str | None, keyid: str) -> str:
    """The algorithm that the header `Keygen-Accept-Signature` asks for; Ed25519 without the header.

    Raises:
        SignatureNotAccepted: the header is malformed, or names an unknown algorithm or key.
    """
    if not header or not header.strip():
        return "ed25519"
    match = _ACCEPT_SIGNATURE.fullmatch(header)
    if match is None:
        raise SignatureNotAccepted("malformed")
    algorithm = match["algorithm"].lower()
    if algorithm not in KEY_KIND_BY_ALGORITHM:
        raise SignatureNotAccepted("unsupported algorithm")
    if match["keyid"] is not None and match["keyid"].lower() != keyid:
        raise SignatureNotAccepted("keyid not found")
    return algorithm


def format_digest(body: bytes) -> str:
    """The value of the header `Digest` of a body."""
    return f"sha-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}"


def build_signing_data(*, method: str, target: str, host: str, date: str, digest: str) -> bytes:
    """The data of a response that is signed."""
    lines = [f"(request-target): {method.lower()} {target}", f"host: {host}", f"date: {date}", f"digest: {digest}"]
    return "\n".join(lines).encode()


def format_signature(keyid: str, algorithm: str, signature: bytes) -> str:
    """The value of the header `Keygen-Signature`."""
    text = base64.b64encode(signature).decode()
    return f'keyid="{keyid}", algorithm="{algorithm}", signature="{text}", headers="(request-target) host date digest"'
