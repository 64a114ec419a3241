"""Mail, sent in the background."""

import logging
import re
import unicodedata
from collections.abc import Iterable
from functools import partial

from django.conf import settings
from django.core import mail
from django.db import transaction
from django.db.models import QuerySet

from accounts import background
from accounts.models import Account, User
from accounts.rate_limits import CUSTOMER_MAILS, MAILS_BY_ACCOUNT, MAILS_BY_RECIPIENT
from keygen_site.jsonapi.errors import DomainError

logger = logging.getLogger(__name__)

MAX_RECIPIENTS = 50  # of a mail to the admins of an account: those who were added first
MAX_QUOTED_CHARACTERS = 60
TEST_SECONDS = 5
# Programs for mail turn `evil.test`, `//evil.test` and `a@evil.test` into links.
_LINK_CHARACTERS = re.compile(r"[.:/\\@\u3002](?=\S)|[/\\]")


class MailNotSetUp(DomainError):
    """The setting EMAIL_URL does not say how to send mail."""

    status = 503
    detail = "cannot be emailed: mail is not set up on this server"


class TooManyMails(DomainError):
    """The account sent its customers, or this one, as many mails as it may within an hour."""

    status = 429
    detail = "cannot be emailed now: too many emails were sent within an hour. Try again later"


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


def mail_customer(account: Account, subject: str, text: str, email: str) -> None:
    """Send a message to a customer of an account, in the background and after the commit of the transaction.

    Raises:
        MailNotSetUp, TooManyMails: it is not sent.
    """
    if not can_send_mail():
        raise MailNotSetUp
    if not (CUSTOMER_MAILS.permits(account.pk) and MAILS_BY_RECIPIENT.permits(account.pk, email)):
        raise TooManyMails
    transaction.on_commit(partial(background.run_in_background, deliver_mail, subject, text, [email]))


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


def send_test_mail(email: str) -> bool:
    """Send a message that says that mail works, and return whether the mail server has taken it.

    The caller waits, TEST_SECONDS at most for each step of the server.
    """
    text = "If you read this, the license-key pool server can send mail.\n"
    try:
        connection = mail.get_connection(timeout=TEST_SECONDS)
        mail.send_mail("Test of the license-key pools", text, None, [email], connection=connection)
    except OSError as error:
        logger.warning("A test mail could not be sent through %s: %s", settings.EMAIL_HOST, type(error).__name__)
        return False
    return True


def admins_who_get_mail(account: Account) -> QuerySet[User]:
    """The users who get the mail to the admins of an account."""
    return account.users.team().filter(role=User.Role.ADMIN, banned=None).order_by("pk")[:MAX_RECIPIENTS]


def mail_admins(account: Account, subject: str, text: str) -> list[str]:
    """Send a message to the admins of an account, if mail can be sent, and return their emails.

    Beyond MAILS_BY_ACCOUNT it is logged and not sent.
    """
    if not can_send_mail():
        return []
    if not MAILS_BY_ACCOUNT.permits(account.pk):
        logger.warning("A mail to the admins of the account %s was not sent: too many mails", account.pk)
        return []
    emails = [admin.email for admin in admins_who_get_mail(account)]
    if emails:
        background.run_in_background(deliver_mail, subject, text, emails)
    return emails
