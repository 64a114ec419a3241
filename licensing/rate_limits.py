"""The rate limit of guesses at license keys (contract: licenses 12.20)."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import RateLimitCounter
from accounts.rate_limits import RateLimit


class FailureLimit(RateLimit):
    """A limit of failures: a caller who asks only for keys that exist may ask without limit."""

    def refuse_if_spent(self, *caller: object) -> None:
        """Refuse a caller with too many failures, whether or not this attempt would fail.

        Raises:
            TooManyRequests: as `hit()` does.
        """
        spent = RateLimitCounter.objects.filter(
            digest=self._digest(caller), until__gt=timezone.now(), number__gte=self.attempts
        )
        if spent.exists():
            self.hit(*caller)


# Validations of unknown keys without a credential.
KEY_GUESSES = FailureLimit("validate", 60, timedelta(minutes=1))
