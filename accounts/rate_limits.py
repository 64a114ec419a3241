"""Rate limits of sign-ins, password changes and requests (contract: platform 11.1)."""

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
    """The state of a rate limit for one caller.

    Attributes:
        window: the name of the limit.
        count, limit: the attempts so far, and how many are allowed.
        until: the end of the window.
    """

    window: str
    count: int
    limit: int
    until: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)

    @property
    def headers(self) -> dict[str, str]:
        """The response headers (contract: platform 3.3, 11.1)."""
        return {
            "X-RateLimit-Window": self.window,
            "X-RateLimit-Count": str(self.count),
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.until.timestamp())),
        }


@dataclass(frozen=True)
class RateLimit:
    """A number of attempts that a caller has in a window of time, which begins with the first one.

    Attributes:
        window: the name of the limit, as in the header `X-RateLimit-Window`.
        attempts: how many are allowed.
        period: the length of the window.
    """

    window: str
    attempts: int
    period: timedelta

    def hit(self, *caller: object) -> RateLimitState:
        """Count an attempt of a caller, identified by e.g. an account, an IP address and an email.

        Raises:
            TooManyRequests: the attempt exceeds the limit.
        """
        row = RateLimitCounter.objects.hit(self._digest(caller), self.period)
        state = RateLimitState(self.window, row.number, self.attempts, row.until)
        if state.count > state.limit:
            seconds = (state.until - timezone.now()).total_seconds()
            raise TooManyRequests(state.headers, seconds=max(1, math.ceil(seconds)))
        return state

    def refund(self, *caller: object) -> None:
        """Subtract an attempt, one that succeeded."""
        RateLimitCounter.objects.refund(self._digest(caller))

    def _digest(self, caller: tuple[object, ...]) -> bytes:
        return digest("\n".join(map(str, (self.window, self.attempts, *caller))))


# Per email, against guessing the password of one user.
SIGN_INS = RateLimit("auth", 5, timedelta(minutes=1))
# Per IP address, against guessing the passwords of many users. Failures only: a whole office may share an IP address.
FAILED_SIGN_INS = RateLimit("auth", 5, timedelta(minutes=1))
PASSWORD_RESETS = RateLimit("rstpwd", 5, timedelta(hours=1))
PASSWORD_CHANGES = RateLimit("mutpwd", 5, timedelta(minutes=10))
SECOND_FACTOR_CHANGES = RateLimit("mutmfa", 5, timedelta(minutes=10))


def count_request(*caller: object) -> RateLimitState | None:
    """Count a request of a caller, where the settings limit their number.

    Returns:
        The state of the tightest limit, for the headers of the response; None without limits.

    Raises:
        TooManyRequests: the request exceeds a limit.
    """
    limits = (
        ("1s", settings.REQUESTS_PER_SECOND, timedelta(seconds=1)),
        ("1m", settings.REQUESTS_PER_MINUTE, timedelta(minutes=1)),
    )
    states = [RateLimit(window, number, period).hit(*caller) for window, number, period in limits if number]
    return min(states, key=lambda state: state.remaining / state.limit, default=None)
