"""What happens across accounts, people and tokens."""

import logging
from collections.abc import Mapping
from functools import partial
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Field
from django.template.loader import render_to_string

from accounts import throttles
from accounts.errors import EmailInvalid, EmailRequired, PasswordInvalid, PasswordNotSupported, PasswordRequired
from accounts.keys import loaded
from accounts.models import Account, Token, User
from accounts.passwords import OldPasswordInvalid, reset_token
from keygen_site.errors import DomainError

logger = logging.getLogger(__name__)


@transaction.atomic
def create_account(*, slug, name, email, password=None, protected=True, **fields):
    """An account with its first admin and a token for them: `(account, user, text of the token)`.

    Raises:
        ValidationError: what is wrong, by field.
    """
    account = Account(slug=slug, name=name, protected=protected, **fields)
    account.validate_and_save()
    loaded(account.pk, "ed25519")  # made now, so that the first answer need not wait for it
    user = User.objects.create_user(email, password, account=account, role=User.Role.ADMIN)
    _, text = Token.generate(user)
    return account, user, text


@transaction.atomic
def sign_up(*, admins, name, slug, **fields):
    """An account with some admins, none of whom gets a token: they sign in.

    Raises:
        ValidationError: what is wrong with the account, by field, or with its `admins`.
    """
    account = Account(name=name, slug=slug, **fields)
    account.validate_and_save()
    loaded(account.pk, "ed25519")
    for admin in admins:
        try:
            User.objects.create_user(**{**admin, "role": User.Role.ADMIN}, account=account)
        except ValidationError as error:
            problems = [
                ValidationError(problem.message, code=f"{field}_{problem.code}", params=problem.params)
                for field, problems in error.error_dict.items()
                for problem in problems
            ]
            raise ValidationError({"admins": problems}) from None
    return account


def sign_in(*, account, email, password, address):
    """The user of an account who has an e-mail and a password; banned ones too (contract: platform 5.3).

    Args:
        address: the network address that they come from. Who tries too often from one is refused.

    Raises:
        SignInRefused: what is wrong.
        TooManyRequests: of one address, too many for this e-mail, or too many wrong ones.
    """
    email = email.strip().lower()
    throttles.SIGN_IN.attempt(account.pk, address, email)
    throttles.SIGN_IN_AS_ANYBODY.attempt(account.pk, address)
    try:
        validate_email(email)
    except ValidationError:
        raise EmailRequired from None
    user = User.objects.filter(account=account, email=email).first()
    if user is None or not user.has_usable_password():
        User().set_password(password)  # as slow as a real check: the time must not tell who exists
        raise PasswordNotSupported if user else EmailInvalid
    if not password.strip():
        raise PasswordRequired
    if not user.check_password(password):
        raise PasswordInvalid
    throttles.SIGN_IN_AS_ANYBODY.forgive(account.pk, address)
    return user


class AccountRequired(DomainError):
    """Somebody has the same e-mail and the same password in several accounts."""

    detail = "You belong to several accounts. Say which one."


def sign_in_to_console(*, email, password, account="", address):
    """The person who may use the console and has an e-mail and a password, or None.

    Args:
        account: the slug or id of their account, where they have several.
        address: the network address that they come from. Who tries too often from one is refused.

    Raises:
        AccountRequired: there are several such people, and no account is named.
        TooManyRequests: of one address, too many for this e-mail, or too many wrong ones.
    """
    email = email.strip().lower()
    throttles.SIGN_IN.attempt("console", address, email)
    throttles.SIGN_IN_AS_ANYBODY.attempt("console", address)
    people = User.objects.filter(email=email, is_staff=True, banned=None).select_related("account")
    if account:
        people = people.filter(account__in=Account.objects.named(account))
    found = [person for person in people if person.check_password(password)]
    if not people:
        User().set_password(password)  # as slow as a real check: the time must not tell who exists
    found = [person for person in found if person.account is None or person.account.is_active]
    if not found:
        return None
    throttles.SIGN_IN_AS_ANYBODY.forgive("console", address)
    if len(found) > 1:
        raise AccountRequired
    return found[0]


@transaction.atomic
def change_user(user, values, *, keep_token=None):
    """Change a user's fields.

    Another role, email or password, or access to the console, revokes the user's tokens, except for the one with id
    `keep_token`. Another email or password ends the sessions in the console too. The old address is told of a new one.

    Raises:
        ValidationError: what is wrong, by field.
    """
    changed, old_email = changes_of(user, values), user.email
    for name in changed - {"password"}:
        setattr(user, name, values[name])
    if "password" in changed:
        user.set_password(values["password"])
    if changed:
        user.save_changes(*changed)
    if changed & {"role", "is_staff", "email", "password"}:
        user.tokens.exclude(pk=keep_token).delete()
    if "email" in changed:
        transaction.on_commit(partial(_tell_old_address, user, old_email), robust=True)
    return user


def changes_of(user: User, values: Mapping[str, Any]) -> set[str]:
    """The names of those values that differ from the user's; a password always counts as another one."""
    changed = {"password"} & values.keys()
    for name in values.keys() - changed:
        field = User._meta.get_field(name)
        assert isinstance(field, Field)
        if getattr(user, name) != field.to_python(values[name]):
            changed.add(name)
    return changed


def _tell_old_address(user: User, old_email: str) -> None:
    """Mail the former address of a user that mail goes elsewhere now. The new address is not named."""
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return
    name = user.account.name if user.account else "the console"
    text = render_to_string("accounts/email_changed.txt", {"user": user, "name": name, "old_email": old_email})
    # In a thread: the request does not wait for the mail server.
    Thread(target=_send, args=(f"Your email address for {name} was changed", text, old_email)).start()


def update_password(user, *, old, new, address, keep_token=None):
    """Give somebody a new password who knows the old one. Their other tokens are revoked.

    Raises:
        OldPasswordInvalid: they do not, or have none.
        ValidationError: the new one is too short or too long.
        TooManyRequests: they have tried too often.
    """
    throttles.CHANGED_PASSWORD.attempt(user.account_id, address, user.pk)
    if not user.check_password(old):
        raise OldPasswordInvalid
    return change_user(user, {"password": new}, keep_token=keep_token)


def forget_password(*, account, email, address, site, deliver=True):
    """Mail a reset token to the user of an account who has an e-mail, if there is one; nobody learns whether.

    Args:
        address: the network address that the wish comes from.
        site: the address of this server, for the mail.
        deliver: whether to send the mail.

    Raises:
        TooManyRequests: it was wished too often.
    """
    throttles.FORGOTTEN_PASSWORD.attempt(account.pk, address, email.strip().lower())
    user = User.objects.filter(account=account, email=email).select_related("account").first()
    if user is None or not deliver or not may_reset(user):
        return
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        logger.warning("A password cannot be reset: the setting EMAIL_URL does not say how to send mail.")
        return
    path = f"/v1/accounts/{account.pk}/users/{user.pk}/actions/reset-password"
    text = render_to_string(
        "accounts/password_reset.txt", {"user": user, "token": reset_token(user), "address": f"{site}{path}"}
    )
    # Beside the request: how long a mail server takes must not tell that there was somebody to write to.
    Thread(target=_send, args=(f"New password for {account.name}", text, user.email)).start()


def _send(subject, text, address):
    try:
        send_mail(" ".join(subject.split()), text, None, [address])
    except OSError as error:  # all of smtplib's errors are
        logger.error("A mail could not be sent through %s: %s", settings.EMAIL_HOST, type(error).__name__)


def mail_admins_of(account, subject, text):
    """Send a mail to the admins of an account, beside whatever is going on; nothing where EMAIL_URL says nothing."""
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return
    admins = account.users.filter(role=User.Role.ADMIN, banned=None).values_list("email", flat=True)
    for address in list(admins):
        Thread(target=_send, args=(subject, text, address)).start()


def may_reset(user):
    """Whether somebody may choose a password who has forgotten it: not where only staff hands out access."""
    return user.has_usable_password() or user.role != User.Role.USER or not user.account.protected
