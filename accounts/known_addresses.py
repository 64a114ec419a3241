"""The IP addresses from which users have signed in: failures from elsewhere do not lock a user out there.

An address is known for `KNOWN_FOR`, also with a new password: programs that still use the old one must not lock out
those that use the new one. Only a keyed hash is stored.
"""

from datetime import timedelta

from accounts.models import RateLimitCounter, User
from accounts.rate_limits import keyed_digest

KNOWN_FOR = timedelta(days=90)


def remember_address(user: User, ip_address: str) -> None:
    """Store that a user has proved who they are from an IP address."""
    RateLimitCounter.objects.restart(_digest(user, ip_address), KNOWN_FOR)


def is_known_address(user: User, ip_address: str) -> bool:
    """Whether a user has signed in from an IP address within `KNOWN_FOR`."""
    return RateLimitCounter.objects.running(_digest(user, ip_address)).exists()


def _digest(user: User, ip_address: str) -> bytes:
    return keyed_digest("known address", user.pk, ip_address)
