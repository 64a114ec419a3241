"""Password reset tokens: signed, valid once and for 24 hours, not stored."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import background, rate_limits
from accounts.errors import Unauthorized
from accounts.mail import can_send_mail, deliver_mail, quote, send_mail
from accounts.models import Account, User
from accounts.rate_limits import CONSOLE

logger = logging.getLogger(__name__)

RESET_TOKEN_LIFETIME = timedelta(hours=24)
MAX_LINKS = 20  # in a mail: of the accounts in which an email belongs to a user of the console
_SALT = "accounts.password_reset"


class ResetTokenExpired(Unauthorized):
    detail = "is expired"
    source = {"pointer": "/meta/passwordResetToken"}


class OldPasswordInvalid(Unauthorized):
    detail = "is not valid"
    source = {"pointer": "/meta/oldPassword"}


def make_reset_token(user: User) -> str:
    """A token that proves that its sender reads the user's mail."""
    return signing.dumps({"user": str(user.pk), "now": password_state(user)}, salt=_SALT)


def is_valid_reset_token(token: str, user: User) -> bool:
    """Whether a text is a reset token of a user whose password and email have not changed since.

    Raises:
        ResetTokenExpired: it was one, but is too old.
    """
    try:
        claims = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return False
    if claims["user"] != str(user.pk) or not constant_time_compare(claims["now"], password_state(user)):
        return False
    try:
        # Last: an old token of another user must not reveal that this one exists.
        signing.loads(token, salt=_SALT, max_age=RESET_TOKEN_LIFETIME)
    except signing.SignatureExpired:
        raise ResetTokenExpired from None
    return True


def password_state(user: User) -> str:
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


def request_console_reset(*, email: str, ip_address: str) -> None:
    """Mail a link to each user of the console with an email, for a new password. The caller does not learn whether.

    Raises:
        TooManyRequests: there were too many requests from this IP address, or from it for this email.
    """
    email = email.strip().lower()
    rate_limits.PASSWORD_RESETS_BY_IP.hit(CONSOLE, ip_address)
    rate_limits.PASSWORD_RESETS.hit(CONSOLE, ip_address, email)
    is_sent = can_send_mail() and rate_limits.PASSWORD_RESET_MAILS.permits(email)
    users = User.objects.filter(email=email, is_staff=True, banned=None).order_by("pk")
    related = users.select_related("account", "second_factor").defer("second_factor__secret")
    found = [user for user in related[:MAX_LINKS] if may_reset_in_console(user)]
    if is_sent and found:
        # In the background: the time that all this takes would reveal that the user exists.
        background.run_in_background(_mail_console_links, found)


def find_console_user(token: str) -> User | None:
    """The user of the console whose reset token this is, if it is valid."""
    try:
        claims = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    user = User.objects.select_related("account").filter(pk=claims["user"]).first()
    try:
        is_valid = user is not None and is_valid_reset_token(token, user)
    except ResetTokenExpired:
        return None
    return user if is_valid and user is not None and may_reset_in_console(user) else None


def may_reset_in_console(user: User) -> bool:
    """Whether a user may set a new password for the console by a mail.

    Not a superuser without a second factor: the mail alone would open all pools of all accounts.
    """
    return user.may_use_console and not (user.is_superuser and user.enabled_second_factor is None)


def make_console_link(user: User) -> str:
    """The link by which a user of the console sets a new password, once and within RESET_TOKEN_LIFETIME."""
    return f"{settings.SITE_URL}{reverse('admin:reset')}?token={make_reset_token(user)}"


def mail_first_link(user: User) -> None:
    """Mail a user who was let into the console a link to choose a password."""
    account = quote(user.account.name) if user.account else ""
    text = render_to_string("accounts/console_access.txt", {"account": account, "link": make_console_link(user)})
    send_mail(user.account, f"Your access to {account}", text, user.email)


def _mail_console_links(users: Sequence[User]) -> None:
    links = [
        {"account": quote(user.account.name) if user.account else "All accounts", "url": make_console_link(user)}
        for user in users
    ]
    text = render_to_string("accounts/console_password_reset.txt", {"links": links})
    deliver_mail("New password for the console", text, [users[0].email])


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
