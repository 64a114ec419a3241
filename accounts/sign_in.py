from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts import rate_limits
from accounts.errors import EmailInvalid, EmailRequired, PasswordInvalid, PasswordNotSupported, PasswordRequired
from accounts.models import Account, User
from keygen_site.jsonapi.errors import DomainError


def sign_in(*, account, email, password, address):
    """The user of an account who has an e-mail and a password; banned ones too (contract: platform 5.3).

    Args:
        address: the network address that they come from. Who tries too often from one is refused.

    Raises:
        SignInRefused: what is wrong.
        TooManyRequests: of one address, too many for this e-mail, or too many wrong ones.
    """
    email = email.strip().lower()
    rate_limits.SIGN_IN.hit(account.pk, address, email)
    rate_limits.FAILED_SIGN_INS.hit(account.pk, address)
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
    rate_limits.FAILED_SIGN_INS.refund(account.pk, address)
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
    rate_limits.SIGN_IN.hit("console", address, email)
    rate_limits.FAILED_SIGN_INS.hit("console", address)
    people = User.objects.filter(email=email, is_staff=True, banned=None).select_related("account")
    if account:
        people = people.filter(account__in=Account.objects.by_identifier(account))
    found = [person for person in people if person.check_password(password)]
    if not people:
        User().set_password(password)  # as slow as a real check: the time must not tell who exists
    found = [person for person in found if person.account is None or person.account.is_active]
    if not found:
        return None
    rate_limits.FAILED_SIGN_INS.refund("console", address)
    if len(found) > 1:
        raise AccountRequired
    return found[0]
