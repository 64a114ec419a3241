"""Sign-in by email and password, to the API and to the console."""

from django.core.exceptions import ValidationError

from accounts import rate_limits
from accounts.errors import EmailInvalid, EmailRequired, PasswordInvalid, PasswordNotSupported, PasswordRequired
from accounts.models import Account, User
from accounts.models.users import validate_email
from keygen_site.jsonapi.errors import DomainError


def sign_in(*, account: Account, email: str, password: str, ip_address: str) -> User:
    """The user of an account with this email and password, even a banned one (contract: platform 5.3).

    Raises:
        SignInRefused: the email or the password is wrong; subclasses say which.
        TooManyRequests: from this IP address there were too many attempts for this email, or too many failures.
    """
    email = email.strip().lower()
    rate_limits.SIGN_INS.hit(account.pk, ip_address, email)
    rate_limits.FAILED_SIGN_INS.hit(account.pk, ip_address)
    try:
        validate_email(email)
    except ValidationError:
        raise EmailRequired from None
    user = User.objects.filter(account=account, email=email).first()
    if user is None or not user.has_usable_password():
        User().set_password(password)  # as slow as a real check: the time must not reveal who exists
        raise PasswordNotSupported if user else EmailInvalid
    if not password.strip():
        raise PasswordRequired
    if not user.check_password(password):
        raise PasswordInvalid
    rate_limits.FAILED_SIGN_INS.refund(account.pk, ip_address)
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
        TooManyRequests: from this IP address there were too many attempts for this email, or too many failures.
    """
    email = email.strip().lower()
    rate_limits.SIGN_INS.hit("console", ip_address, email)
    rate_limits.FAILED_SIGN_INS.hit("console", ip_address)
    users = User.objects.filter(email=email, is_staff=True, banned=None).select_related("account")
    if account:
        users = users.filter(account__in=Account.objects.by_identifier(account))
    found = [user for user in users if user.check_password(password)]
    if not users:
        User().set_password(password)  # as slow as a real check: the time must not reveal who exists
    found = [user for user in found if user.account is None or user.account.is_active]
    if not found:
        return None
    rate_limits.FAILED_SIGN_INS.refund("console", ip_address)
    if len(found) > 1:
        raise AccountRequired
    return found[0]
