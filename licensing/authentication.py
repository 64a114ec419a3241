"""Licenses as bearers: by their key, or by a token. The setting LICENSE_AUTHENTICATION names this module."""

from django.utils import timezone

from accounts.bearers import Bearer
from accounts.errors import (
    LicenseBanned,
    LicenseExpired,
    LicenseInvalid,
    LicenseNotAllowed,
    LicenseSuspended,
    TokenInvalid,
    TokenNotAllowed,
    UserBanned,
)
from licensing.models import License

BY_KEY = ("LICENSE", "MIXED")
BY_TOKEN = ("TOKEN", "MIXED")


def bearer_of_key(account, key):
    """Whom a license key of an account speaks for (contract: licenses 9.1).

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
    if license.policy.expiration_strategy == "REVOKE_ACCESS" and license.expiry and license.expiry < timezone.now():
        raise LicenseExpired
    if license.policy.authentication_strategy not in BY_KEY:
        raise LicenseNotAllowed
    return Bearer(account_id=account.pk, id=license.pk, model=License, role="license")


def check_token(bearer):
    """Refuse a license's token that the license's terms do not allow. A suspended license may still use its tokens.

    Raises:
        TokenInvalid, UserBanned, TokenNotAllowed: the first that applies.
    """
    license = License.objects.filter(pk=bearer.id).select_related("policy", "owner").first()
    if license is None:
        raise TokenInvalid
    if license.owner and license.owner.banned:
        raise UserBanned
    if license.policy.authentication_strategy not in BY_TOKEN:
        raise TokenNotAllowed
