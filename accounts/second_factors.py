"""Setting up, turning off and resetting the second factor of a user."""

import logging
from functools import partial

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from accounts import rate_limits
from accounts.errors import Unauthorized
from accounts.mail import can_send_mail, quote, send_mail
from accounts.models import SecondFactor, User
from keygen_site.jsonapi.errors import DomainError

logger = logging.getLogger(__name__)


class PasswordNotProven(Unauthorized):
    """A user changes the second factor without the right password (contract: security 1.5)."""

    code = "PASSWORD_INVALID"
    detail = "password must be valid"
    source = {"pointer": "/meta/password"}


class SecondFactorExists(DomainError):
    """A user has at most one second factor: the present one must be turned off first."""

    status = 409
    title = "Conflict"
    detail = "a second factor is enabled already: turn it off first"


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


@transaction.atomic
def start_second_factor(user: User) -> SecondFactor:
    """A new second factor with a new secret, not enabled yet. It replaces one that never was enabled.

    Raises:
        SecondFactorExists: the user has one that is enabled.
    """
    User.objects.select_for_update(no_key=True, of=("self",)).get(pk=user.pk)  # two would be created at a time
    if SecondFactor.objects.filter(user=user, enabled=True).exists():
        raise SecondFactorExists
    SecondFactor.objects.filter(user=user).delete()
    return SecondFactor.objects.create(user=user)


@transaction.atomic
def enable_second_factor(factor: SecondFactor) -> list[str]:
    """Ask for a code at each sign-in from now on, and return the recovery codes. Other sessions of the user end."""
    factor.enabled = True
    factor.save(update_fields=["enabled", "updated"])
    _announce(factor.user, "was turned on")
    return factor.renew_recovery_codes()


@transaction.atomic
def remove_second_factor(user: User, *, reset_by: str = "") -> bool:
    """Delete the second factor of a user, with its recovery codes. The sessions of the user in the console end.

    Args:
        reset_by: who resets it for a user who lost the device; empty if the user turns it off.

    Returns:
        Whether the user had one.
    """
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:
        return False
    factor.delete()
    User.objects.filter(pk=user.pk).end_sessions()  # those from before the second factor would go on otherwise
    if reset_by:
        logger.warning("The second factor of user %s was reset by %s", user.pk, reset_by)
    if factor.enabled:
        _announce(user, "was reset by another person" if reset_by else "was turned off")
    return True


def _announce(user: User, what: str) -> None:
    """Mail to a user what happened to the second factor, once it is committed."""
    if can_send_mail():
        account = quote(user.account.name) if user.account else ""
        context = {"user": user, "account": account, "what": what}
        text = render_to_string("accounts/second_factor_changed.txt", context)
        transaction.on_commit(
            partial(send_mail, user.account, f"Your second factor {what}", text, user.email), robust=True
        )
