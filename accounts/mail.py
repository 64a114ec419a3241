"""Mail, sent in the background."""

import logging
import re
import unicodedata
from collections.abc import Iterable

from django.conf import settings
from django.core import mail

from accounts import background
from accounts.models import Account, User
from accounts.rate_limits import MAILS_BY_ACCOUNT, MAILS_BY_RECIPIENT

logger = logging.getLogger(__name__)

MAX_RECIPIENTS = 50  # of a mail to the admins of an account: those who were added first
MAX_QUOTED_CHARACTERS = 60
# Programs for mail turn `evil.test`, `//evil.test` and `a@evil.test` into links.
_LINK_CHARACTERS = re.compile(r"[.:/\\@\u3002](?=\S)|[/\\]")


def can_send_mail() -> bool:
    """Whether the setting EMAIL_URL says how to send mail."""
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def quote(text: str) -> str:
    """A text of a client, such as the name of an account, for a mail: one short line that has no link.

    Anyone may sign up with a name, and with the email of another person as the admin's.
    """
    visible = "".join(
        " " if unicodedata.category(each)[0] in "CZ" else each for each in unicodedata.normalize("NFKC", text)
    )
    line = " ".join(_LINK_CHARACTERS.sub(" ", visible).split())
    return line if len(line) <= MAX_QUOTED_CHARACTERS else f"{line[: MAX_QUOTED_CHARACTERS - 1]}…"


def send_mail(account: Account | None, subject: str, text: str, email: str) -> None:
    """Send a message about an account to an email, in the background: the request does not wait for the mail server.

    Beyond MAILS_BY_RECIPIENT it is logged and not sent.
    """
    if MAILS_BY_RECIPIENT.permits(account and account.pk, email):
        background.run_in_background(deliver_mail, subject, text, [email])
    else:
        logger.warning("A mail about the account %s was not sent: too many mails", account and account.pk)


def deliver_mail(subject: str, text: str, emails: Iterable[str]) -> None:
    """Send a message to each email, through one connection to the mail server, and wait until it is done."""
    subject, connection = " ".join(subject.split()), mail.get_connection()
    for email in emails:
        try:
            connection.open()
            mail.send_mail(subject, text, None, [email], connection=connection)
        except OSError as error:  # the base of smtplib's errors
            logger.error("A mail could not be sent through %s: %s", settings.EMAIL_HOST, type(error).__name__)
            connection.close()  # the next mail gets a new connection
    connection.close()


def mail_admins(account: Account, subject: str, text: str) -> None:
    """Send a message to the admins of an account, if mail can be sent.

    Beyond MAILS_BY_ACCOUNT it is logged and not sent.
    """
    if not can_send_mail():
        return
    if not MAILS_BY_ACCOUNT.permits(account.pk):
        logger.warning("A mail to the admins of the account %s was not sent: too many mails", account.pk)
        return
    admins = account.users.filter(role=User.Role.ADMIN, banned=None).order_by("pk")
    if emails := list(admins.values_list("email", flat=True)[:MAX_RECIPIENTS]):
        background.run_in_background(deliver_mail, subject, text, emails)
