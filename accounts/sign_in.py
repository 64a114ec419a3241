"""Sign-in by email and password, to the API and to the console."""

from collections.abc import Sequence
from uuid import UUID

from django.core.exceptions import ValidationError

from accounts import rate_limits
from accounts.errors import (
    CodeInvalid,
    CodeRequired,
    EmailInvalid,
    EmailRequired,
    PasswordInvalid,
    PasswordNotSupported,
    PasswordRequired,
    TooManyRequests,
)
from accounts.known_addresses import is_known_address, remember_address
from accounts.models import Account, User
from accounts.models.users import validate_email
from accounts.rate_limits import CONSOLE
from keygen_site.jsonapi.errors import DomainError


def sign_in(*, account: Account, email: str, password: str, ip_address: str, code: str | None = None) -> User:
    """The user of an account with this email and password, even a banned one (contract: platform 5.3, security 1.6).

    A code of the second factor is used up only with the right password, which also comes first so that guesses do not
    tell who has a factor.

    Args:
        code: of the second factor, for a user who has one that is enabled.

    Raises:
        SignInRefused: the email or the password is wrong; subclasses say which.
        CodeRequired, CodeInvalid: the password is right, but the code is missing or wrong.
        TooManyRequests: from this IP address there were too many attempts for this email, or too many failures; or
            see `count_guess()`.
    """
    email = email.strip().lower()
    _count_attempt(account.pk, ip_address, email)
    try:
        validate_email(email)
    except ValidationError:
        raise EmailRequired from None
    user = User.objects.filter(account=account, email=email).select_related("second_factor").first()
    count_guess(account.pk, email, [user] if user else [], ip_address)
    if user is None or not user.has_usable_password():
        if password.strip():
            User().set_password(password)  # as slow as a real check: the time must not reveal who exists
        raise PasswordNotSupported if user else EmailInvalid
    if not password.strip():
        raise PasswordRequired
    if not user.check_password(password):
        raise PasswordInvalid
    if factor := user.enabled_second_factor:
        if code is None:
            raise CodeRequired
        if not factor.accept(code):
            raise CodeInvalid
    _count_success(account.pk, ip_address, email, [user])
    return user


class AccountRequired(DomainError):
    """Users of several accounts have this email and this password."""

    detail = "You belong to several accounts. Say which one."


def sign_in_to_console(*, email: str, password: str, account: str = "", ip_address: str) -> User | None:
    """The user with this email and password who may use the console, or None.

    Args:
        account: the slug or id of an account, to choose between users of several.

    Raises:
        AccountRequired: several users match, and `account` is empty.
        TooManyRequests: as in `sign_in()`.
    """
    email = email.strip().lower()
    _count_attempt(CONSOLE, ip_address, email)
    users = User.objects.filter(email=email, is_staff=True, banned=None).select_related("account")
    if account:
        users = users.filter(account__in=Account.objects.by_identifier(account))
    candidates = count_guess(CONSOLE, email, list(users), ip_address)
    found = [user for user in candidates if user.check_password(password)]
    if not candidates:
        User().set_password(password)  # as slow as a real check: the time must not reveal who exists
    found = [user for user in found if user.may_use_console]
    if not found:
        return None
    _count_success(CONSOLE, ip_address, email, found)
    if len(found) > 1:
        raise AccountRequired
    return found[0]


def _count_attempt(scope: UUID | str, ip_address: str, email: str) -> None:
    # First by IP address only: a client who is refused stores no counter for one more email.
    rate_limits.FAILED_SIGN_INS.refuse_if_spent(scope, ip_address)
    rate_limits.SIGN_INS.hit(scope, ip_address, email)
    rate_limits.FAILED_SIGN_INS.hit(scope, ip_address)


def _count_success(scope: UUID | str, ip_address: str, email: str, users: Sequence[User]) -> None:
    rate_limits.FAILED_SIGN_INS.refund(scope, ip_address)
    rate_limits.PASSWORD_GUESSES.refund(scope, email)
    for user in users:
        remember_address(user, ip_address)


def count_guess(scope: UUID | str | None, email: str, users: Sequence[User], ip_address: str) -> Sequence[User]:
    """Count a guess at the password of an email, and return the users whose password may be checked.

    Beyond the limit, which counts over all IP addresses, those are the users who have signed in from this address
    before. So guessing from many addresses is slow, and does not lock the user out: the user signs in from a known
    address, or resets the password by mail, which makes the present address a known one. Others wait for an hour at
    most. Whether the email belongs to a user makes no difference. A success is refunded.

    Args:
        scope: the id of the account, or `CONSOLE`.
        users: the users with the email.

    Raises:
        TooManyRequests: there were too many guesses, and the IP address is known for none of the users.
    """
    try:
        rate_limits.PASSWORD_GUESSES.hit(scope, email)
    except TooManyRequests:
        known = [user for user in users if is_known_address(user, ip_address)]
        if not known:
            raise
        return known
    return users
