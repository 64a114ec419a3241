"""Password reset tokens: signed, valid once and for 24 hours, not stored."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import rate_limits
from accounts.errors import Unauthorized
from accounts.mail import can_send_mail, send_mail
from accounts.models import Account, User

logger = logging.getLogger(__name__)

RESET_TOKEN_LIFETIME = timedelta(hours=24)
_SALT = "accounts.password_reset"


class ResetTokenExpired(Unauthorized):
    detail = "is expired"
    source = {"pointer": "/meta/passwordResetToken"}


class OldPasswordInvalid(Unauthorized):
    detail = "is not valid"
    source = {"pointer": "/meta/oldPassword"}


def make_reset_token(user: User) -> str:
    """A token that proves that its sender reads the user's mail."""
    return signing.dumps({"user": str(user.pk), "now": _password_state(user)}, salt=_SALT)


def is_valid_reset_token(token: str, user: User) -> bool:
    """Whether a text is a reset token of a user whose password and email have not changed since.

    Raises:
        ResetTokenExpired: it was one, but is too old.
    """
    try:
        claims = signing.loads(token, salt=_SALT, max_age=RESET_TOKEN_LIFETIME)
    except signing.SignatureExpired:
        raise ResetTokenExpired from None
    except signing.BadSignature:
        return False
    return claims["user"] == str(user.pk) and constant_time_compare(claims["now"], _password_state(user))


def _password_state(user: User) -> str:
    """A text that changes with the password or the email, and reveals neither."""
    return salted_hmac(_SALT, f"{user.password} {user.email}", algorithm="sha256").hexdigest()[:32]


def request_password_reset(*, account: Account, email: str, ip_address: str, deliver: bool = True) -> None:
    """Mail a reset token to the user with an email, if there is one. The caller does not learn whether.

    Args:
        ip_address: the IP address of the client.
        deliver: whether to send the mail.

    Raises:
        TooManyRequests: there were too many requests for this email and IP address.
    """
    rate_limits.PASSWORD_RESETS.hit(account.pk, ip_address, email.strip().lower())
    user = User.objects.filter(account=account, email=email).select_related("account").first()
    if user is None or not deliver or not may_reset(user):
        return
    if not can_send_mail():
        logger.warning("A password cannot be reset: the setting EMAIL_URL does not say how to send mail.")
        return
    path = f"/v1/accounts/{account.pk}/users/{user.pk}/actions/reset-password"
    text = render_to_string(
        "accounts/password_reset.txt",
        {"user": user, "token": make_reset_token(user), "address": f"{settings.SITE_URL}{path}"},
    )
    # In the background also because the time that the mail server takes would reveal that the user exists.
    send_mail(f"New password for {account.name}", text, user.email)


def may_reset(user: User) -> bool:
    """Whether a user may reset the password: not a user without one in a protected account, where staff give access."""
    return (
        user.has_usable_password() or user.role != User.Role.USER or not user.account.protected  # type: ignore[union-attr]  # of a user of an account
    )
