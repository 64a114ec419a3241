"""What happens across accounts, people and tokens."""

import logging
import re
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Field
from django.template.loader import render_to_string

from accounts import rate_limits
from accounts.mail import send_in_background
from accounts.models import Account, Token, User
from accounts.password_reset import OldPasswordInvalid
from accounts.signing.key_cache import cached_private_key

logger = logging.getLogger(__name__)


@transaction.atomic
def create_account(*, slug, name, email, password=None, protected=True, **fields):
    """An account with its first admin and a token for them: `(account, user, text of the token)`.

    Raises:
        ValidationError: what is wrong, by field.
    """
    account = Account(slug=slug, name=name, protected=protected, **fields)
    account.validate_and_save()
    cached_private_key(account.pk, "ed25519")  # made now, so that the first answer need not wait for it
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
    cached_private_key(account.pk, "ed25519")
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
    send_in_background(f"Your email address for {name} was changed", text, old_email)


def update_password(user, *, old, new, address, keep_token=None):
    """Give somebody a new password who knows the old one. Their other tokens are revoked.

    Raises:
        OldPasswordInvalid: they do not, or have none.
        ValidationError: the new one is too short or too long.
        TooManyRequests: they have tried too often.
    """
    rate_limits.CHANGED_PASSWORD.hit(user.account_id, address, user.pk)
    if not user.check_password(old):
        raise OldPasswordInvalid
    return change_user(user, {"password": new}, keep_token=keep_token)


# Domains whose addresses say nothing about where somebody works.
PERSONAL = (
    "aol.com fastmail.com gmail.com gmx.com gmx.de gmx.net googlemail.com hey.com hotmail.com icloud.com live.com "
    "mac.com mail.com mailinator.com me.com msn.com outlook.com proton.me protonmail.com qq.com web.de yahoo.com "
    "yandex.com yandex.ru zoho.com"
)


def name_from(email):
    """A name and a free slug for the account of somebody: `keygen-sh` from a company's address, else from their own."""
    person, _, domain = email.strip().lower().rpartition("@")
    name = person if domain in PERSONAL.split() else domain
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "account"
    if Account.objects.filter(slug=slug).exists():
        slug = f"{slug}-{secrets.token_hex(3)}"
    return name or slug, slug
