"""Operations across accounts, users and tokens."""

import re
import secrets
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Field
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts import rate_limits
from accounts.errors import LinkInvalid
from accounts.known_addresses import remember_address
from accounts.mail import can_send_mail, quote, send_mail
from accounts.models import Account, Token, User
from accounts.password_reset import OldPasswordInvalid, mail_first_link, may_reset_in_console, password_state
from accounts.permission_names import ALL, DEFAULTS
from accounts.roles import RANKS
from accounts.sign_in import count_guess
from accounts.signing.key_cache import cached_private_key


def create_account(
    *, slug: str, name: str, email: str, password: str | None = None, protected: bool = True, **fields: Any
) -> tuple[Account, User, str]:
    """Create an account with its first admin, and a token for the admin.

    Returns:
        The account, the admin, and the text of the token.

    Raises:
        ValidationError: by field.
    """
    account = Account(slug=slug, name=name, protected=protected, **fields)
    user = User.objects.new_user(email, password, account=account, role=User.Role.ADMIN)
    with transaction.atomic():
        _save_account(account)
        user.validate_and_save()
        _, text = Token.generate(user)
    return account, user, text


def give_operator_access(user: User) -> None:
    """Give a user access to the console as an Operator: all permissions in their account that their role allows."""
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.groups.add(Group.objects.get(name="Operator"))


def _save_account(account: Account) -> None:
    account.validate_and_save()
    cached_private_key(account, "ed25519")  # now, so that the first response does not wait for it


class AdminsInvalid(Exception):
    """Values of the admins of a new account are invalid.

    Attributes:
        errors: by the index of the admin.
    """

    def __init__(self, errors: Mapping[int, ValidationError]) -> None:
        super().__init__()
        self.errors = errors


def sign_up(*, admins: Iterable[Mapping[str, Any]], name: str, slug: str, **fields: Any) -> Account:
    """Create an account with its admins. They get no tokens; they sign in.

    The passwords are hashed before the transaction, which on SQLite keeps all others from writing.

    Raises:
        ValidationError: by field of the account.
        AdminsInvalid: by admin, if the account is valid.
    """
    account = Account(name=name, slug=slug, **fields)
    account.check_rules()
    users = [User.objects.new_user(**{**admin, "role": User.Role.ADMIN}, account=account) for admin in admins]
    with transaction.atomic():
        _save_account(account)
        errors = {}
        for index, user in enumerate(users):
            try:
                user.validate_and_save()
            except ValidationError as error:
                errors[index] = error
        if errors:
            raise AdminsInvalid(errors)
    return account


def get_or_create_customer(account: Account, email: str, name: str = "") -> tuple[User, bool]:
    """The user of an account with an email, or else a new customer, and whether the customer is new.

    Args:
        name: of a new customer. Its last word is the last name.

    Raises:
        ValidationError: by field.
    """
    email = email.strip().lower()
    if user := User.objects.filter(account=account, email=email).first():
        return user, False
    first, _, last = " ".join(name.split()).rpartition(" ")
    if not first:
        first, last = last, ""
    names = {"first_name": first or None, "last_name": last or None}
    return User.objects.create_user(email, account=account, **names), True


def change_user(
    user: User, values: Mapping[str, Any], *, keep_token: UUID | None = None, may_widen: bool = True
) -> User:
    """Change fields of a user.

    Another role, email or password, or another access to the console, revokes the user's tokens, except for the one
    with id `keep_token`. Another email, password or access ends the sessions in the console too. A mail to the old
    email announces that it was changed.

    Args:
        may_widen: whether a higher role brings its standard permissions, although the user has others.

    Raises:
        ValidationError: by field.
    """
    changed, old_email, old_role = changed_fields(user, values), user.email, user.role
    for name in changed - {"password"}:
        setattr(user, name, values[name])
    if "password" in changed:
        user.set_password(values["password"])  # before the transaction: hashing is slow
    if "role" in changed and user.permissions is not None:
        user.permissions = _permissions_in_role(user, old_role, may_widen=may_widen)
        changed.add("permissions")
    if changed & {"email", "is_staff"}:  # a later change back must not bring sessions back
        user.sessions_ended = timezone.now()
        changed.add("sessions_ended")
    with transaction.atomic():
        if changed:
            user.save_changes(*changed)
        if changed & {"role", "is_staff", "email", "password"}:
            user.tokens.exclude(pk=keep_token).delete()
        if "email" in changed:
            transaction.on_commit(partial(_notify_old_email, user, old_email), robust=True)
    return user


def _permissions_in_role(user: User, old_role: str, *, may_widen: bool) -> list[str] | None:
    """The permissions of a user who has another role now: those that both roles have, or None for the standard ones."""
    if may_widen and RANKS[user.role] > RANKS[old_role]:
        return None
    return sorted({*(user.permissions or ())} & (DEFAULTS[user.role] | {ALL}))


@transaction.atomic
def set_console_access(user: User, group: Group | None) -> bool:
    """Give a user access to the console in one group, or remove it. The caller checks the rule of rank.

    Both end the user's sessions and revoke the tokens. A user who gets access chooses a new password by a link: others
    may know the old one, or may have set it.

    Returns:
        Whether the user got access, and needs a link.

    Raises:
        ValidationError: by field.
    """
    locked = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
    has_gained_access = group is not None and not locked.is_staff
    change_user(locked, {"is_staff": group is not None, **({"password": None} if has_gained_access else {})})
    locked.groups.set([group] if group else [])
    if has_gained_access and can_send_mail():
        transaction.on_commit(partial(mail_first_link, locked), robust=True)
    return has_gained_access


@transaction.atomic
def change_account(account: Account, *names: str) -> None:
    """Save changed fields of an account. Another status ends the sessions of its users in the console.

    Raises:
        ValidationError: by field.
    """
    account.save_changes(*names)
    if "status" in names:
        account.users.end_sessions()


def changed_fields(user: User, values: Mapping[str, Any]) -> set[str]:
    """The names of the values that differ from the user's. A password always counts as different."""
    changed = {"password"} & values.keys()
    for name in values.keys() - changed:
        field = User._meta.get_field(name)
        assert isinstance(field, Field)
        if getattr(user, name) != field.to_python(values[name]):
            changed.add(name)
    return changed


def _notify_old_email(user: User, old_email: str) -> None:
    """Mail to the old email of a user that it was changed. The mail does not contain the new one."""
    if not can_send_mail():
        return
    name = quote(user.account.name) if user.account else "the console"
    text = render_to_string("accounts/email_changed.txt", {"user": user, "name": name, "old_email": old_email})
    send_mail(user.account, f"Your email address for {name} was changed", text, old_email)


def update_password(user: User, *, old: str, new: str, ip_address: str, keep_token: UUID | None = None) -> User:
    """Replace a password by a user who knows it. The user's other tokens are revoked.

    Raises:
        OldPasswordInvalid: the old password is wrong, or the user has none.
        ValidationError: the new password breaks the rule of `accounts.passwords`.
        TooManyRequests: there were too many attempts, see also `count_guess()`.
    """
    rate_limits.PASSWORD_CHANGES.hit(user.account_id, ip_address, user.pk)
    count_guess(user.account_id, user.email, [user], ip_address)
    if not user.check_password(old):
        raise OldPasswordInvalid
    rate_limits.PASSWORD_GUESSES.refund(user.account_id, user.email)
    change_user(user, {"password": new}, keep_token=keep_token)
    remember_address(user, ip_address)
    return user


def reset_console_password(*, user_id: UUID | str, state: str, new: str, ip_address: str) -> User:
    """Set the new password of a user who has opened the link in a mail. The link is used up.

    Afterwards the user may sign in from this IP address, although others guess. A second factor stays.

    Args:
        state: the `password_state()` for which the link was made.

    Raises:
        LinkInvalid: the user has another password or email by now, or may not use the console.
        ValidationError: the new password breaks the rule of `accounts.passwords`.
        TooManyRequests: there were too many attempts.
    """
    rate_limits.PASSWORD_CHANGES_BY_IP.hit(rate_limits.CONSOLE, ip_address)
    rate_limits.PASSWORD_CHANGES.hit(rate_limits.CONSOLE, ip_address, user_id)
    with transaction.atomic():
        user = User.objects.select_for_update(of=("self",)).select_related("account").filter(pk=user_id).first()
        if user is None or not constant_time_compare(state, password_state(user)) or not may_reset_in_console(user):
            raise LinkInvalid
        change_user(user, {"password": new})
    remember_address(user, ip_address)
    return user


# Domains of mail providers: an email there says nothing about the user's company.
PERSONAL_DOMAINS = frozenset(
    [
        "aol.com",
        "fastmail.com",
        "gmail.com",
        "gmx.com",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "hey.com",
        "hotmail.com",
        "icloud.com",
        "live.com",
        "mac.com",
        "mail.com",
        "mailinator.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "web.de",
        "yahoo.com",
        "yandex.com",
        "yandex.ru",
        "zoho.com",
    ]
)


def propose_name(email: str) -> tuple[str, str]:
    """A name and a free slug for an account: the domain of the admin's email, or the user part of a personal one."""
    person, _, domain = email.strip().lower().rpartition("@")
    name = person if domain in PERSONAL_DOMAINS else domain
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "account"
    if Account.objects.filter(slug=slug).exists():
        slug = f"{slug}-{secrets.token_hex(3)}"
    return name or slug, slug
