"""The signing keys of an account in the columns of an export, all in clear.

RSA and ECDSA keys are PEM, private ones as bytes; Ed25519 keys are the hex digits of 32 bytes.
"""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from accounts.signing.algorithms import load_private_key
from pools.moving.format import Row

# The columns of the private and the public key, by the kind of the key here.
KEY_COLUMNS = {
    "rsa2048": ("private_key", "public_key"),
    "ed25519": ("ed25519_private_key", "ed25519_public_key"),
    "ecdsa": ("ecdsa_private_key", "ecdsa_public_key"),
}
_CLASSES = {"rsa2048": rsa.RSAPrivateKey, "ecdsa": ec.EllipticCurvePrivateKey}


def read_key_pair(kind: str, account: Row) -> str:
    """The private key of a kind, as PEM: that of the export, to the letter, except for Ed25519.

    Args:
        account: the row of the account in the export.

    Raises:
        ValueError: the columns have no key pair of the kind. The error does not quote them.
    """
    try:
        private, public = (_text(account.get(name)) for name in KEY_COLUMNS[kind])
        if kind == "ed25519":
            private = (
                ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private))
                .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                .decode()
            )
        # Unlike `load_private_key`, with the check of an RSA key that was made elsewhere.
        elif not isinstance(load_pem_private_key(private.encode(), password=None), _CLASSES[kind]):
            raise ValueError
        if _public_of(private) != public.strip():
            raise ValueError
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{' and '.join(KEY_COLUMNS[kind])} are no key pair") from None
    return private


def write_key_pair(kind: str, private: str) -> Row:
    """The columns of a key pair.

    Args:
        private: the private key, as PEM.
    """
    key = load_private_key(private)
    encoded: str | bytes = private.encode()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        encoded = key.private_bytes_raw().hex()
    public = _public_of(private) + ("" if kind == "ed25519" else "\n")
    return dict(zip(KEY_COLUMNS[kind], (encoded, public), strict=True))


def _public_of(private: str) -> str:
    public = load_private_key(private).public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public.public_bytes_raw().hex()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()


def _text(value: object) -> str:
    """A text that may be stored as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    raise ValueError
