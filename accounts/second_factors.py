"""Setting up, turning off and resetting the second factor of a user."""

import logging
from functools import partial

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from accounts import rate_limits
from accounts.errors import CodeInvalid, Unauthorized
from accounts.mail import can_send_mail, quote, send_mail
from accounts.models import SecondFactor, User
from accounts.models.second_factors import generate_secret
from keygen_site.jsonapi.errors import DomainError

logger = logging.getLogger(__name__)


class PasswordNotProven(Unauthorized):
    """The password is wrong.

    A user changes the second factor (contract: security 1.5).
    """

    code = "PASSWORD_INVALID"
    detail = "password must be valid"
    source = {"pointer": "/meta/password"}


class SecondFactorExists(DomainError):
    """A user has at most one second factor: the present one must be turned off first."""

    status = 409
    title = "Conflict"
    detail = "a second factor is enabled already: turn it off first"


class SecondFactorPresent(SecondFactorExists):
    """A user has at most one second factor: the present one must be deleted first."""

    detail = "the user has a second factor already: delete it first"


def is_second_factor_required(user: User) -> bool:
    """Whether the setting REQUIRE_SECOND_FACTOR means a user of the console."""
    if settings.REQUIRE_SECOND_FACTOR == "staff":
        return True
    return settings.REQUIRE_SECOND_FACTOR == "superusers" and user.is_superuser


def must_set_up_second_factor(user: User) -> bool:
    """Whether a user needs a second factor and has none that is enabled."""
    return is_second_factor_required(user) and user.enabled_second_factor is None


def confirm_password(user: User, password: str, *, ip_address: str) -> None:
    """Require the password of a user who is about to change the second factor.

    Raises:
        PasswordNotProven: it is another one, or the user has none.
        TooManyRequests: there were too many attempts.
    """
    rate_limits.SECOND_FACTOR_CHANGES.hit(user.account_id, ip_address, user.pk)
    if not user.check_password(password):
        raise PasswordNotProven


def confirm_code(factor: SecondFactor, code: str | None) -> None:
    """Require a code of a second factor, and use it up. Not in a transaction, see `SecondFactor.accept()`.

    Raises:
        CodeInvalid: it is wrong, was used before, or is missing.
        TooManyRequests: there were too many wrong codes.
    """
    if not code or not factor.accept(code):
        raise CodeInvalid


def add_second_factor(user: User, *, password: str | None, code: str | None, ip_address: str) -> SecondFactor:
    """A new second factor, not enabled yet, for a user who proves to be the user: by the password, or by a code of
    the factor that is enabled.

    Raises:
        PasswordNotProven, CodeInvalid: the proof is wrong.
        SecondFactorPresent: the proof is right, but the user has a factor, enabled or not.
        TooManyRequests: there were too many attempts.
    """
    if factor := user.enabled_second_factor:
        rate_limits.SECOND_FACTOR_CHANGES.hit(user.account_id, ip_address, user.pk)
        confirm_code(factor, code)
    else:
        confirm_password(user, password or "", ip_address=ip_address)
    with transaction.atomic():
        _lock(user)
        if SecondFactor.objects.filter(user=user).exists():
            raise SecondFactorPresent
        return SecondFactor.objects.create(user=user)


@transaction.atomic
def start_second_factor(user: User) -> SecondFactor:
    """A new second factor with a new secret, not enabled yet. It replaces one that never was enabled.

    Raises:
        SecondFactorExists: the user has one that is enabled.
    """
    _lock(user)
    if SecondFactor.objects.filter(user=user, enabled=True).exists():
        raise SecondFactorExists
    SecondFactor.objects.filter(user=user).delete()
    return SecondFactor.objects.create(user=user)


@transaction.atomic
def enable_second_factor(factor: SecondFactor) -> list[str]:
    """Ask for a code at each sign-in from now on. Other sessions of the user end.

    Returns:
        The recovery codes; none if it is enabled already.

    Raises:
        CodeInvalid: it has another secret meanwhile, so that the code that was checked says nothing about the app.
        NotFound: it has been deleted meanwhile.
    """
    secret = factor.secret
    _lock(factor.user)
    factor.reload()
    if factor.secret != secret:
        raise CodeInvalid
    if factor.enabled:
        return []
    factor.enabled = True
    factor.save(update_fields=["enabled", "updated"])
    _announce(factor.user, "was turned on")
    return factor.renew_recovery_codes()


@transaction.atomic
def disable_second_factor(factor: SecondFactor) -> None:
    """Ask for no code any more. The secret is a new one: the old one was in use. Sessions in the console end.

    Raises:
        NotFound: it has been deleted meanwhile.
    """
    _lock(factor.user)
    factor.reload()
    if not factor.enabled:
        return
    factor.enabled, factor.secret = False, generate_secret()
    factor.save(update_fields=["enabled", "secret", "updated"])
    factor.recovery_codes.all().delete()
    User.objects.filter(pk=factor.user_id).end_sessions()
    _announce(factor.user, "was turned off")


@transaction.atomic
def remove_second_factor(user: User, *, reset_by: str = "", is_proven: bool = True) -> bool:
    """Delete the second factor of a user, with its recovery codes. The sessions of the user in the console end.

    Args:
        reset_by: who resets it for a user who lost the device; empty if the user turns it off.
        is_proven: whether a code was checked, or need not be. Otherwise a factor that has been enabled meanwhile stays.

    Returns:
        Whether the user had one.

    Raises:
        CodeInvalid: it is enabled, and no code was checked.
    """
    _lock(user)
    factor = SecondFactor.objects.filter(user=user).first()
    if factor is None:
        return False
    if factor.enabled and not is_proven:
        raise CodeInvalid
    factor.delete()
    User.objects.filter(pk=user.pk).end_sessions()  # those from before the second factor would go on otherwise
    if reset_by:
        logger.warning("The second factor of user %s was reset by %s", user.pk, reset_by)
    if factor.enabled:
        _announce(user, "was reset by another person" if reset_by else "was turned off")
    return True


def _lock(user: User) -> None:
    """Lock a user until the transaction ends, against others who add, change or remove the second factor."""
    list(User.objects.select_for_update(no_key=True, of=("self",)).filter(pk=user.pk).values_list("pk"))


def _announce(user: User, what: str) -> None:
    """Mail the user about a change of the second factor, after the commit."""
    if can_send_mail():
        account = quote(user.account.name) if user.account else ""
        context = {"user": user, "account": account, "what": what}
        text = render_to_string("accounts/second_factor_changed.txt", context)
        transaction.on_commit(
            partial(send_mail, user.account, f"Your second factor {what}", text, user.email), robust=True
        )
