"""Password reset tokens: signed, valid once and for 24 hours, not stored."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import background, rate_limits
from accounts.errors import Unauthorized
from accounts.mail import can_send_mail, deliver_mail, quote
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
        claims = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return False
    if claims["user"] != str(user.pk) or not constant_time_compare(claims["now"], _password_state(user)):
        return False
    try:
        # Last: an old token of another user must not reveal that this one exists.
        signing.loads(token, salt=_SALT, max_age=RESET_TOKEN_LIFETIME)
    except signing.SignatureExpired:
        raise ResetTokenExpired from None
    return True


def _password_state(user: User) -> str:
    """A text that changes with the password or the email, and reveals neither."""
    return salted_hmac(_SALT, f"{user.password} {user.email}", algorithm="sha256").hexdigest()[:32]


def request_password_reset(*, account: Account, email: str, ip_address: str, deliver: bool = True) -> None:
    """Mail a reset token to the user with an email, if there is one. The caller does not learn whether.

    Args:
        ip_address: the IP address of the client.
        deliver: whether to send the mail.

    Raises:
        TooManyRequests: there were too many requests from this IP address, or from it for this email.
    """
    email = email.strip().lower()
    rate_limits.PASSWORD_RESETS_BY_IP.hit(account.pk, ip_address)
    rate_limits.PASSWORD_RESETS.hit(account.pk, ip_address, email)
    if deliver and not can_send_mail():
        logger.warning("A password cannot be reset: the setting EMAIL_URL does not say how to send mail.")
    # The token of a mail that was sent before is still valid, so refusing another one locks no one out.
    is_sent = deliver and can_send_mail() and rate_limits.PASSWORD_RESET_MAILS.permits(email)
    user = User.objects.filter(account=account, email=email).select_related("account").first()
    if is_sent and user is not None and may_reset(user):
        # In the background: the time that all this takes would reveal that the user exists.
        background.run_in_background(_mail_reset_token, user)


def _mail_reset_token(user: User) -> None:
    name = quote(user.account.name)  # type: ignore[union-attr]  # of a user of an account
    path = f"/v1/accounts/{user.account_id}/users/{user.pk}/actions/reset-password"
    context = {"user": user, "name": name, "token": make_reset_token(user), "address": f"{settings.SITE_URL}{path}"}
    deliver_mail(f"New password for {name}", render_to_string("accounts/password_reset.txt", context), [user.email])


def may_reset(user: User) -> bool:
    """Whether a user may reset the password: not a user without one in a protected account, where staff give access."""
    return (
        user.has_usable_password() or user.role != User.Role.USER or not user.account.protected  # type: ignore[union-attr]  # of a user of an account
    )
