"""How often somebody may try to get in (contract: platform 11.1)."""

import math
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts.errors import TooManyRequests
from accounts.models import Attempts
from keygen_site.models import digest


@dataclass(frozen=True)
class Throttle:
    """At most so many attempts in a period that begins with the first one.

    Attributes:
        window: its name, as the header `X-RateLimit-Window` says it.
        attempts: how many, by the same caller.
        period: how long they are counted.
    """

    window: str
    attempts: int
    period: timedelta

    def attempt(self, *caller):
        """Count an attempt by a caller, who is whatever the parts are: an account, an address, an e-mail.

        Raises:
            TooManyRequests: it is one too many.
        """
        counted = Attempts.objects.add(self._digest(caller), self.period)
        if counted.number > self.attempts:
            seconds = (counted.until - timezone.now()).total_seconds()
            raise TooManyRequests(
                window=self.window,
                count=counted.number,
                limit=self.attempts,
                reset=math.ceil(counted.until.timestamp()),
                seconds=max(1, math.ceil(seconds)),
            )

    def forgive(self, *caller):
        """Take an attempt back: it was no guess."""
        Attempts.objects.forgive(self._digest(caller))

    def _digest(self, caller):
        return digest("\n".join(map(str, (self.window, self.attempts, *caller))))


# Somebody who guesses one person's password.
SIGN_IN = Throttle("auth", 5, timedelta(minutes=1))
# Somebody who guesses everybody's: only what failed counts, for a whole office may sit behind one address.
SIGN_IN_AS_ANYBODY = Throttle("auth", 5, timedelta(minutes=1))
FORGOTTEN_PASSWORD = Throttle("rstpwd", 5, timedelta(hours=1))
CHANGED_PASSWORD = Throttle("mutpwd", 5, timedelta(minutes=10))
