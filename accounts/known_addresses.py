"""The IP addresses from which users have signed in.

Failures from elsewhere do not lock a user out there. An address is known for `KNOWN_FOR` since a sign-in, until the
password changes; only a keyed hash is stored.
"""

from datetime import timedelta

from accounts.models import RateLimitCounter, User
from accounts.rate_limits import keyed_digest

KNOWN_FOR = timedelta(days=90)


def remember_address(user: User, ip_address: str) -> None:
    """Store that a user has proved who they are from an IP address."""
    RateLimitCounter.objects.hit(_digest(user, ip_address), KNOWN_FOR)


def is_known_address(user: User, ip_address: str) -> bool:
    """Whether a user has signed in from an IP address with the present password."""
    return RateLimitCounter.objects.running(_digest(user, ip_address)).exists()


def _digest(user: User, ip_address: str) -> bytes:
    return keyed_digest("known address", user.pk, user.password, ip_address)
