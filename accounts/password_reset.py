"""What lets somebody choose a new password who has forgotten the old one."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import rate_limits
from accounts.errors import (
    Unauthorized,
)
from accounts.mail import send_in_background
from accounts.models import User

logger = logging.getLogger(__name__)
LIFETIME = timedelta(hours=24)
_SALT = "accounts.password_reset"


class ResetTokenExpired(Unauthorized):
    detail = "is expired"
    source = {"pointer": "/meta/passwordResetToken"}


class OldPasswordInvalid(Unauthorized):
    detail = "is not valid"
    source = {"pointer": "/meta/oldPassword"}


def make_reset_token(user):
    """A text that proves, for a while and once, that whoever has it reads the user's mail. It is stored nowhere."""
    return signing.dumps({"user": str(user.pk), "now": _state(user)}, salt=_SALT)


def is_valid_reset_token(token, user):
    """Whether a text is a reset token of a user who still has the password of then.

    Raises:
        ResetTokenExpired: it was, too long ago.
    """
    try:
        said = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.SignatureExpired:
        raise ResetTokenExpired from None
    except signing.BadSignature:
        return False
    return said["user"] == str(user.pk) and constant_time_compare(said["now"], _state(user))


def _state(user):
    """What changes with the password or the address, and tells neither."""
    return salted_hmac(_SALT, f"{user.password} {user.email}", algorithm="sha256").hexdigest()[:32]


def request_password_reset(*, account, email, address, site, deliver=True):
    """Mail a reset token to the user of an account who has an e-mail, if there is one; nobody learns whether.

    Args:
        address: the network address that the wish comes from.
        site: the address of this server, for the mail.
        deliver: whether to send the mail.

    Raises:
        TooManyRequests: it was wished too often.
    """
    rate_limits.FORGOTTEN_PASSWORD.hit(account.pk, address, email.strip().lower())
    user = User.objects.filter(account=account, email=email).select_related("account").first()
    if user is None or not deliver or not may_reset(user):
        return
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        logger.warning("A password cannot be reset: the setting EMAIL_URL does not say how to send mail.")
        return
    path = f"/v1/accounts/{account.pk}/users/{user.pk}/actions/reset-password"
    text = render_to_string(
        "accounts/password_reset.txt", {"user": user, "token": make_reset_token(user), "address": f"{site}{path}"}
    )
    # Beside the request: how long a mail server takes must not tell that there was somebody to write to.
    send_in_background(f"New password for {account.name}", text, user.email)


def may_reset(user):
    """Whether somebody may choose a password who has forgotten it: not where only staff hands out access."""
    return user.has_usable_password() or user.role != User.Role.USER or not user.account.protected
