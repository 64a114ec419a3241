"""Mail, sent outside of the request."""

import logging
from threading import Thread

from django.conf import settings
from django.core.mail import send_mail

from accounts.models import User

logger = logging.getLogger(__name__)


def _send(subject, text, address):
    try:
        send_mail(" ".join(subject.split()), text, None, [address])
    except OSError as error:  # all of smtplib's errors are
        logger.error("A mail could not be sent through %s: %s", settings.EMAIL_HOST, type(error).__name__)


def send_in_background(subject, text, address):
    """Send a mail from a thread, so that the request does not wait for the mail server."""
    Thread(target=_send, args=(subject, text, address)).start()


def mail_admins(account, subject, text):
    """Send a mail to the admins of an account, beside whatever is going on; nothing where EMAIL_URL says nothing."""
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return
    admins = account.users.filter(role=User.Role.ADMIN, banned=None).values_list("email", flat=True)
    for address in list(admins):
        send_in_background(subject, text, address)
