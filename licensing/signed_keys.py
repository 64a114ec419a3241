"""Cryptographic license keys: a text, the seed, signed or encrypted by the account (contract: licenses 10).

With the account's public key, a client verifies such a key and reads the seed offline.
"""

import base64
import re
import secrets
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ValidationError

from accounts.signing import purposes
from accounts.signing.algorithms import KEY_KIND_BY_ALGORITHM, PrivateKey
from accounts.signing.key_cache import private_key_in_transaction
from accounts.signing.purposes import SIGNED_KEY, WEB_TOKEN, Purpose, TextReserved
from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import JSONInvalid
from keygen_site.jsonapi.text import timestamp
from licensing.models import License

ENCRYPT, JWT = "RSA_2048_PKCS1_ENCRYPT", "RSA_2048_JWT_RS256"
# Schemes that sign the seed itself, for old clients. The others sign it as the key has it, with the prefix and in
# base64. See `accounts.signing.purposes` for the seeds that these refuse.
SIGN_BARE_SEED = ("RSA_2048_PKCS1_SIGN", "RSA_2048_PKCS1_PSS_SIGN")
ISSUER = "https://keygen.sh"  # clients compare it
MAX_ENCRYPTED_LENGTH = 245  # bytes; a block of RSA with 2048 bits holds no more
# How the error of a claim that is not a number names other types (contract: licenses 3.6); of booleans `trueclass`.
_TYPE_NAMES = {str: "string", list: "array", dict: "hash", type(None): "nilclass"}
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}", re.ASCII)


def signature_algorithm(scheme: str | None) -> str:
    """The signature algorithm of a scheme, or of a policy without one (`algorithms.KEY_KIND_BY_ALGORITHM`)."""
    if scheme and scheme.startswith("RSA"):
        return "rsa-pss-sha256" if "_PSS_" in scheme else "rsa-sha256"
    return "ecdsa-p256" if scheme == "ECDSA_P256_SIGN" else "ed25519"


def sign(purpose: Purpose, account_id: UUID, algorithm: str, message: bytes) -> bytes:
    """The account's signature of a message for a purpose."""
    return purposes.sign(purpose, algorithm, _private_key(account_id, algorithm), message)


def _private_key(account_id: UUID, algorithm: str) -> PrivateKey:
    return private_key_in_transaction(account_id, KEY_KIND_BY_ALGORITHM[algorithm])


def generate_signed_key(license: License, template: str = "") -> str:
    """A key of the policy's scheme.

    Args:
        license: the license that the key is for.
        template: the seed, with placeholders such as `{{id}}`; if empty, the seed describes the license.

    Raises:
        ValidationError: the scheme does not allow the seed.
    """
    scheme = license.policy.scheme
    seed = _fill_template(template, license) if template else orjson.dumps(_default_seed(license)).decode()
    try:
        if scheme == ENCRYPT:
            return _encrypt(license.account_id, seed.encode())
        if scheme in SIGN_BARE_SEED:
            return _sign_bare(license.account_id, signature_algorithm(scheme), seed)
    except TextReserved as error:
        detail = f"cannot be signed by this scheme, because it reads as a {error.purpose} (use a scheme with V2)"
        raise ValidationError({"key": ValidationError(detail, code="not_allowed")}) from None
    if scheme == JWT:
        return _generate_jwt(license.account_id, seed)
    message = f"key/{_base64url(seed.encode())}"
    signature = sign(SIGNED_KEY, license.account_id, signature_algorithm(scheme), message.encode())
    return f"{message}.{_base64url(signature)}"


def generate_legacy_key(license: License) -> str:
    """A random key that begins with the id of its license; only its hash is stored, see `License.set_hashed_key`."""
    return f"{license.pk.hex}-{secrets.token_hex(16)}-{secrets.token_hex(16)}-{secrets.token_hex(15)}v1"


def _sign_bare(account_id: UUID, algorithm: str, seed: str) -> str:
    signature = purposes.sign_bare(algorithm, _private_key(account_id, algorithm), seed)
    return f"{_base64url(seed.encode())}.{_base64url(signature)}"


def _encrypt(account_id: UUID, seed: bytes) -> str:
    if len(seed) > MAX_ENCRYPTED_LENGTH:
        detail = f"key exceeds maximum byte length (max size of {MAX_ENCRYPTED_LENGTH} bytes)"
        raise ValidationError({"key": ValidationError(detail, code="byte_size_exceeded")})
    # "Encrypted" with the private key and readable with the public one: a signature of the bytes without a digest.
    key = cast(rsa.RSAPrivateKey, private_key_in_transaction(account_id, "rsa2048"))
    return _base64url(purposes.sign_block(key, seed))


def _generate_jwt(account_id: UUID, seed: str) -> str:
    parts = [_base64url(codec.dumps(part)).rstrip("=") for part in ({"alg": "RS256"}, _parse_claims(seed))]
    signature = sign(WEB_TOKEN, account_id, "rsa-sha256", ".".join(parts).encode())
    return ".".join([*parts, _base64url(signature).rstrip("=")])


def _parse_claims(seed: str) -> Any:
    """The claims of a JSON Web Token, which may be any JSON value.

    Raises:
        ValidationError: the seed is not JSON, or an object with a time that is not a number.
    """
    try:
        claims = codec.loads(seed.encode())
    except JSONInvalid:
        raise _claims_error("must be a valid JSON encoded string") from None
    for name in ("exp", "iat", "nbf") if isinstance(claims, dict) else ():
        if name in claims and type(claims[name]) not in (int, float):
            kind = _TYPE_NAMES.get(type(claims[name])) or f"{str(claims[name]).lower()}class"
            raise _claims_error(f"{name} claim must be a numeric value but it is a {kind}")
    return claims


def _claims_error(reason: str) -> ValidationError:
    detail = f"key is not a valid JWT claims payload ({reason})"
    return ValidationError({"key": ValidationError(detail, code="jwt_claims_invalid")})


def _default_seed(license: License) -> dict[str, Any]:
    created, expiry = timestamp(license.created), timestamp(license.expiry)
    policy = license.policy
    if policy.scheme == ENCRYPT:
        return {"id": str(license.pk), "created": created, "duration": policy.duration, "expiry": expiry}
    if policy.scheme == JWT:
        issued = int(license.created.timestamp())
        claims = {
            "jti": str(uuid4()),
            "iss": ISSUER,
            "aud": str(license.account_id),
            "sub": str(license.pk),
            "iat": issued,
            "nbf": issued,
        }
        return claims | ({"exp": int(license.expiry.timestamp())} if license.expiry else {})
    owner = license.owner
    return {
        "account": {"id": str(license.account_id)},
        "product": {"id": str(license.product_id)},
        "policy": {"id": str(license.policy_id), "duration": policy.duration},
        "user": owner and {"id": str(owner.pk), "email": owner.email},
        "license": {"id": str(license.pk), "created": created, "expiry": expiry},
    }


def _fill_template(template: str, license: License) -> str:
    """The template with its placeholders, in any case, replaced; one that is unknown or has no value becomes empty."""
    owner = license.owner
    values = {
        "account": license.account_id,
        "product": license.product_id,
        "policy": license.policy_id,
        "user": owner and owner.pk,
        "email": owner and owner.email,
        "created": timestamp(license.created),
        "expiry": timestamp(license.expiry),
        "duration": license.policy.duration,
        "id": license.pk,
    }

    def replace(match: re.Match[str]) -> str:
        value = values.get(match[1].lower())
        return "" if value is None else str(value)

    return _PLACEHOLDER.sub(replace, template)


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()
