"""How often somebody may guess keys (contract: licenses 12.20)."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import RateLimitCounter
from accounts.rate_limits import RateLimit


class GuessLimit(RateLimit):
    """A throttle of what failed only: whoever asks about keys that exist may do so as often as they like."""

    def refuse_if_spent(self, *caller):
        """Refuse a caller who has failed too often, right or wrong this time.

        Raises:
            TooManyRequests: as `attempt()` does.
        """
        spent = RateLimitCounter.objects.filter(
            digest=self._digest(caller), until__gt=timezone.now(), number__gte=self.attempts
        )
        if spent.exists():
            self.hit(*caller)


# Somebody without a credential who asks whether keys are valid that do not exist.
GUESSES = GuessLimit("validate", 60, timedelta(minutes=1))
