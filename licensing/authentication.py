"""Authentication of licenses, by their key or by a token."""

from dataclasses import replace

from django.utils import timezone

from accounts.bearers import Bearer, effective_permissions, own_permissions
from accounts.errors import ABOUT_LICENSES, ABOUT_TOKENS, AccessDenied, TokenInvalid, Unauthorized, UserBanned
from accounts.models import Account
from accounts.permission_names import ALL
from licensing.models import License

# Authentication strategies of a policy.
ALLOW_KEY = ("LICENSE", "MIXED")
ALLOW_TOKEN = ("TOKEN", "MIXED")


class LicenseInvalid(Unauthorized):
    """No license of the account has this key."""

    code = "LICENSE_INVALID"
    about = ABOUT_LICENSES


class TokenNotAllowed(AccessDenied):
    """The policy's `authenticationStrategy` does not allow tokens of licenses."""

    code = "TOKEN_NOT_ALLOWED"
    detail = "Token authentication is not allowed by policy"
    about = ABOUT_TOKENS


class LicenseBanned(AccessDenied):
    """The owner of the license is banned."""

    code = "LICENSE_BANNED"
    detail = "License is banned"


class LicenseSuspended(AccessDenied):
    """The license is suspended."""

    code = "LICENSE_SUSPENDED"
    detail = "License is suspended"


class LicenseExpired(AccessDenied):
    """The license has expired, and its policy's `expirationStrategy` is `REVOKE_ACCESS`."""

    code = "LICENSE_EXPIRED"
    detail = "License is expired"


class LicenseNotAllowed(AccessDenied):
    """The policy's `authenticationStrategy` does not allow license keys."""

    code = "LICENSE_NOT_ALLOWED"
    detail = "License key authentication is not allowed by policy"
    about = ABOUT_LICENSES


def authenticate_key(account: Account, key: str) -> Bearer:
    """The bearer for the license with this key (contract: licenses 9.1).

    Raises:
        LicenseInvalid, LicenseBanned, LicenseSuspended, LicenseExpired, LicenseNotAllowed: the first that applies.
    """
    licenses = License.objects.filter(account=account).select_related("policy", "owner")
    license = licenses.with_key(key).first()
    if license is None:
        raise LicenseInvalid
    if license.owner and license.owner.banned:
        raise LicenseBanned
    if license.suspended:
        raise LicenseSuspended
    if license.policy.expiration_strategy == "REVOKE_ACCESS" and license.is_expired(timezone.now()):
        raise LicenseExpired
    if license.policy.authentication_strategy not in ALLOW_KEY:
        raise LicenseNotAllowed
    return Bearer(
        account_id=account.pk, id=license.pk, model=License, role="license", own_permissions=_permissions_of(license)
    )


def check_token(bearer: Bearer) -> Bearer:
    """The bearer of a license's token with its permissions. A suspended license may still use its tokens.

    Raises:
        TokenInvalid, UserBanned, TokenNotAllowed: the first that applies.
    """
    license = License.objects.filter(pk=bearer.id).select_related("policy", "owner").first()
    if license is None:
        raise TokenInvalid
    if license.owner and license.owner.banned:
        raise UserBanned
    if license.policy.authentication_strategy not in ALLOW_TOKEN:
        raise TokenNotAllowed
    return replace(bearer, own_permissions=_permissions_of(license))


def _permissions_of(license: License) -> frozenset[str] | None:
    """The permissions of a license, limited to those of its owner (contract: security 5.4). None: the standard ones."""
    own, owner = license.permissions, license.owner
    if owner is None or (owner.permissions is None and owner.role == "user" and own is None):
        return own_permissions(own)  # the standard ones of a user include those of a license
    if owner.permissions is not None and ALL in owner.permissions:
        return own_permissions(own)
    return effective_permissions(own, "license") & effective_permissions(owner.permissions, owner.role)
