"""What happens across accounts, people and tokens."""

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts import throttles
from accounts.errors import EmailInvalid, EmailRequired, PasswordInvalid, PasswordNotSupported, PasswordRequired
from accounts.models import Account, SigningKey, Token, User


@transaction.atomic
def create_account(*, slug, name, email, password=None):
    """An account with its first admin and a token for them: `(account, user, text of the token)`.

    Raises:
        ValidationError: what is wrong, by field.
    """
    account = Account(slug=slug, name=name, protected=True)
    account.validate_and_save()
    SigningKey.objects.of(account.pk, "ed25519")
    user = User.objects.create_user(email, password, account=account, role=User.Role.ADMIN)
    _, text = Token.generate(user)
    return account, user, text


def sign_in(*, account, email, password, address):
    """The user of an account who has an e-mail and a password; banned ones too (contract: platform 5.3).

    Args:
        address: the network address that they come from. Who tries too often from one is refused.

    Raises:
        SignInRefused: what is wrong.
        TooManyRequests: of one address, too many for this e-mail, or too many wrong ones.
    """
    email = email.strip().lower()
    throttles.SIGN_IN_AS_ANYBODY.attempt(account.pk, address)
    throttles.SIGN_IN.attempt(account.pk, address, email)
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
