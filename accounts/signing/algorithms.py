"""Signing with an account's keys: answers, and whatever else a client verifies offline (contract: platform 3.4, 7.2).

Plain functions over keys as PEM texts; who has which key is not known here.
"""

import base64
import hashlib
import re

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

KINDS = ("ed25519", "rsa2048", "ecdsa")
# Algorithms of a signature, and the kind of key that each needs.
ALGORITHMS = {"ed25519": "ed25519", "rsa-pss-sha256": "rsa2048", "rsa-sha256": "rsa2048", "ecdsa-p256": "ecdsa"}
_WANTED = re.compile(r'\s*(?:keyid="(?P<keyid>[^"]*)"\s*,\s*)?algorithm="(?P<algorithm>[^"]*)"\s*;?\s*', re.IGNORECASE)


class SignatureNotAccepted(BadRequest):
    """The client wants a signature that cannot be given."""

    def __init__(self, reason):
        super().__init__(f"invalid accept-signature header ({reason})")


def generate(kind):
    """A new private key of a kind, as PEM."""
    match kind:
        case "ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case "rsa2048":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ecdsa":
            key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load(private):
    """A private key from its PEM: about as slow as a hundred signatures, so keep what it returns."""
    return load_pem_private_key(private.encode(), password=None)


def public_text(kind, private):
    """The public half of a private key in base64: of its PEM, or for Ed25519 of the raw key's hex digits."""
    public = load(private).public_key()
    if kind == "ed25519":
        text = public.public_bytes_raw().hex().encode()
    else:
        text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(text).decode()


def sign(algorithm, key, message):
    """The signature of `message` by a loaded private key, as bytes."""
    match algorithm:
        case "ed25519":
            return key.sign(message)
        case "rsa-pss-sha256":
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
            return key.sign(message, pss, hashes.SHA256())
        case "rsa-sha256":
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case "ecdsa-p256":
            return key.sign(message, ec.ECDSA(hashes.SHA256()))
    raise ValueError(algorithm)


def wanted_algorithm(header, keyid):
    """The algorithm that the header `Keygen-Accept-Signature` asks for; without one, Ed25519.

    Raises:
        SignatureNotAccepted: the header is malformed, or names an algorithm or key that there is not.
    """
    if not header:
        return "ed25519"
    match = _WANTED.fullmatch(header)
    if match is None:
        raise SignatureNotAccepted("malformed")
    algorithm = match["algorithm"].lower()
    if algorithm not in ALGORITHMS:
        raise SignatureNotAccepted("unsupported algorithm")
    if match["keyid"] is not None and match["keyid"].lower() != keyid:
        raise SignatureNotAccepted("keyid not found")
    return algorithm


def digest_header(body):
    """The value of the header `Digest` of a body."""
    return f"sha-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}"


def signed_text(*, method, target, host, date, digest):
    """What is signed of an answer, as bytes."""
    lines = [f"(request-target): {method.lower()} {target}", f"host: {host}", f"date: {date}", f"digest: {digest}"]
    return "\n".join(lines).encode()


def signature_header(keyid, algorithm, signature):
    """The value of the header `Keygen-Signature`."""
    text = base64.b64encode(signature).decode()
    return f'keyid="{keyid}", algorithm="{algorithm}", signature="{text}", headers="(request-target) host date digest"'
