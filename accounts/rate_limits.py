"""How often somebody may try to get in (contract: platform 11.1)."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.errors import TooManyRequests
from accounts.models import RateLimitCounter
from keygen_site.db.fields import digest


@dataclass(frozen=True)
class RateLimitState:
    """How many attempts there were within a throttle's period.

    Attributes:
        window: the throttle's name.
        count, limit: how many there were, and how many there may be.
        until: when the period ends.
    """

    window: str
    count: int
    limit: int
    until: datetime

    @property
    def left(self):
        return max(0, self.limit - self.count)

    @property
    def headers(self):
        """The headers that tell a client (contract: platform 3.3, 11.1)."""
        return {
            "X-RateLimit-Window": self.window,
            "X-RateLimit-Count": str(self.count),
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": str(math.ceil(self.until.timestamp())),
        }


@dataclass(frozen=True)
class RateLimit:
    """At most so many attempts in a period that begins with the first one.

    Attributes:
        window: its name, as the header `X-RateLimit-Window` says it.
        attempts: how many, by the same caller.
        period: how long they are counted.
    """

    window: str
    attempts: int
    period: timedelta

    def hit(self, *caller):
        """Count an attempt by a caller, who is whatever the parts are: an account, an address, an e-mail.

        Returns:
            How many there were: `RateLimitState`.

        Raises:
            TooManyRequests: it is one too many.
        """
        row = RateLimitCounter.objects.add(self._digest(caller), self.period)
        counted = RateLimitState(self.window, row.number, self.attempts, row.until)
        if counted.count > counted.limit:
            seconds = (counted.until - timezone.now()).total_seconds()
            raise TooManyRequests(counted.headers, seconds=max(1, math.ceil(seconds)))
        return counted

    def refund(self, *caller):
        """Take an attempt back: it was no guess."""
        RateLimitCounter.objects.refund(self._digest(caller))

    def _digest(self, caller):
        return digest("\n".join(map(str, (self.window, self.attempts, *caller))))


# Somebody who guesses one person's password.
SIGN_IN = RateLimit("auth", 5, timedelta(minutes=1))
# Somebody who guesses everybody's: only what failed counts, for a whole office may sit behind one address.
FAILED_SIGN_INS = RateLimit("auth", 5, timedelta(minutes=1))
FORGOTTEN_PASSWORD = RateLimit("rstpwd", 5, timedelta(hours=1))
CHANGED_PASSWORD = RateLimit("mutpwd", 5, timedelta(minutes=10))


def count_request(*caller):
    """Count any request of a caller, where the settings limit how many there may be.

    Returns:
        What the headers of the answer shall say, of the period that is closest to its limit; None without limits.

    Raises:
        TooManyRequests: it is one too many.
    """
    periods = (
        ("1s", settings.REQUESTS_PER_SECOND, timedelta(seconds=1)),
        ("1m", settings.REQUESTS_PER_MINUTE, timedelta(minutes=1)),
    )
    counted = [RateLimit(window, most, period).hit(*caller) for window, most, period in periods if most]
    return min(counted, key=lambda each: each.left / each.limit, default=None)
