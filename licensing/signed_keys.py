"""Keys that say by themselves what they are for: a text, the seed, signed by the account (contract: licenses 10).

Whoever has the account's public key can tell that such a key is genuine, and read the seed, without asking.
"""

import base64
import re
import secrets
from uuid import uuid4

import orjson
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from django.core.exceptions import ValidationError

from accounts.signing import algorithms
from accounts.signing.key_cache import private_key_in_transaction
from keygen_site.jsonapi.text import timestamp

ENCRYPT, JWT = "RSA_2048_PKCS1_ENCRYPT", "RSA_2048_JWT_RS256"
# Those that sign the seed itself. The others sign it as it stands in the key, prefix and encoding included.
BARE = ("RSA_2048_PKCS1_SIGN", "RSA_2048_PKCS1_PSS_SIGN")
ISSUER = "https://keygen.sh"  # clients compare it
MOST_ENCRYPTED = 245  # bytes that fit into a block of RSA with 2048 bits
_TEMPLATE = re.compile(r"\{\{\s*(\w*)\s*\}\}")


def algorithm_of(scheme):
    """The signature algorithm of a scheme, or of what has none (`algorithms.KEY_KIND_BY_ALGORITHM`)."""
    if scheme and scheme.startswith("RSA"):
        return "rsa-pss-sha256" if "_PSS_" in scheme else "rsa-sha256"
    return "ecdsa-p256" if scheme == "ECDSA_P256_SIGN" else "ed25519"


def sign(account_id, algorithm, message):
    """The signature of some bytes by the account."""
    return algorithms.sign(
        algorithm, private_key_in_transaction(account_id, algorithms.KEY_KIND_BY_ALGORITHM[algorithm]), message
    )


def signed_key(license, seed=None):
    """A key of the policy's scheme.

    Args:
        license: the license that it is for.
        seed: the text that it says, with `{{id}}` and the like filled in; by default, what the license is.

    Raises:
        ValidationError: the scheme does not allow the seed.
    """
    scheme = license.policy.scheme
    text = _filled_in(license, seed) if seed else orjson.dumps(_seed_of(license)).decode()
    match scheme:
        case _ if scheme == ENCRYPT:
            return _encrypted(license.account_id, text.encode())
        case _ if scheme == JWT:
            return _jwt(license.account_id, text)
    encoded = _base64(text.encode())
    if scheme in BARE:
        signature = sign(license.account_id, algorithm_of(scheme), text.encode())
        return f"{encoded}.{_base64(signature)}"
    signature = sign(license.account_id, algorithm_of(scheme), f"key/{encoded}".encode())
    return f"key/{encoded}.{_base64(signature)}"


def legacy_key(license):
    """A key that says which license it is of and is random for the rest; `License.hide()` keeps its digest only."""
    return f"{license.pk.hex}-{secrets.token_hex(16)}-{secrets.token_hex(16)}-{secrets.token_hex(15)}v1"


def _encrypted(account_id, seed):
    if len(seed) > MOST_ENCRYPTED:
        detail = f"key exceeds maximum byte length (max size of {MOST_ENCRYPTED} bytes)"
        raise ValidationError({"key": ValidationError(detail, code="byte_size_exceeded")})
    # "Encrypted" with the private key, that anybody may read with the public one: a signature of the bare bytes.
    return _base64(private_key_in_transaction(account_id, "rsa2048").sign(seed, padding.PKCS1v15(), NoDigestInfo()))


def _jwt(account_id, seed):
    claims = _claims(seed)
    parts = [_base64(orjson.dumps(part)).rstrip("=") for part in ({"alg": "RS256"}, claims)]
    signature = sign(account_id, "rsa-sha256", ".".join(parts).encode())
    return ".".join([*parts, _base64(signature).rstrip("=")])


def _claims(seed):
    """What a JSON Web Token is to claim.

    Raises:
        ValidationError: it cannot.
    """
    try:
        claims = orjson.loads(seed)
    except orjson.JSONDecodeError:
        raise _claims_invalid("must be a valid JSON encoded string") from None
    if not isinstance(claims, dict):
        raise _claims_invalid("must be a valid JSON encoded object")
    for name in ("exp", "iat", "nbf"):
        if name in claims and type(claims[name]) not in (int, float):
            raise _claims_invalid(f"{name} claim must be a numeric value but it is {_kind(claims[name])}")
    return claims


def _claims_invalid(reason):
    detail = f"key is not a valid JWT claims payload ({reason})"
    return ValidationError({"key": ValidationError(detail, code="jwt_claims_invalid")})


def _kind(value):
    match value:
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case list():
            return "an array"
        case dict():
            return "an object"
    return "null"


def _seed_of(license):
    """What a key of a license says where nothing else was asked for."""
    created, expiry = timestamp(license.created), timestamp(license.expiry)
    policy = license.policy
    match policy.scheme:
        case _ if policy.scheme == ENCRYPT:
            return {"id": str(license.pk), "created": created, "duration": policy.duration, "expiry": expiry}
        case _ if policy.scheme == JWT:
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


def _filled_in(license, seed):
    """A text with names in braces replaced by what they stand for, those that stand for nothing by nothing."""
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

    def value(match):
        found = values.get(match[1].lower())
        return "" if found is None else str(found)

    return _TEMPLATE.sub(value, seed)


def _base64(content):
    return base64.urlsafe_b64encode(content).decode()
