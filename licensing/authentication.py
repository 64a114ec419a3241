"""Authentication of licenses, by their key or by a token."""

from django.utils import timezone

from accounts.bearers import Bearer
from accounts.errors import ABOUT_LICENSES, ABOUT_TOKENS, AccessDenied, TokenInvalid, Unauthorized, UserBanned
from accounts.models import Account
from licensing.models import License

# Authentication strategies of a policy.
ALLOW_KEY = ("LICENSE", "MIXED")
ALLOW_TOKEN = ("TOKEN", "MIXED")


class LicenseInvalid(Unauthorized):
    """No license of the account has this key."""

    code = "LICENSE_INVALID"
    about = ABOUT_LICENSES


class TokenNotAllowed(AccessDenied):
    code = "TOKEN_NOT_ALLOWED"
    detail = "Token authentication is not allowed by policy"
    about = ABOUT_TOKENS


class LicenseBanned(AccessDenied):
    """The owner of the license is banned."""

    code = "LICENSE_BANNED"
    detail = "License is banned"


class LicenseSuspended(AccessDenied):
    code = "LICENSE_SUSPENDED"
    detail = "License is suspended"


class LicenseExpired(AccessDenied):
    code = "LICENSE_EXPIRED"
    detail = "License is expired"


class LicenseNotAllowed(AccessDenied):
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
    return Bearer(account_id=account.pk, id=license.pk, model=License, role="license")


def check_token(bearer: Bearer) -> None:
    """Refuse a license's token if its policy does not allow tokens. A suspended license may still use its tokens.

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
