"""Mail, sent in the background."""

import logging
from collections.abc import Iterable

from django.conf import settings
from django.core import mail

from accounts.background import run_in_background
from accounts.models import Account, User

logger = logging.getLogger(__name__)


def can_send_mail() -> bool:
    """Whether the setting EMAIL_URL says how to send mail."""
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def send_mail(subject: str, text: str, *emails: str) -> None:
    """Send a message to each email, in the background: the request does not wait for the mail server."""
    run_in_background(_send, " ".join(subject.split()), text, emails)


def _send(subject: str, text: str, emails: Iterable[str]) -> None:
    for email in emails:
        try:
            mail.send_mail(subject, text, None, [email])
        except OSError as error:  # the base of smtplib's errors
            logger.error("A mail could not be sent through %s: %s", settings.EMAIL_HOST, type(error).__name__)


def mail_admins(account: Account, subject: str, text: str) -> None:
    """Send a message to the admins of an account, if mail can be sent."""
    if not can_send_mail():
        return
    admins = account.users.filter(role=User.Role.ADMIN, banned=None).values_list("email", flat=True)
    if emails := list(admins):
        send_mail(subject, text, *emails)
