"""The counters of rate limits."""

from datetime import datetime, timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

PRUNE_BATCH_SIZE = 100


class RateLimitCounterManager(models.Manager["RateLimitCounter"]):
    def hit(self, digest: bytes, period: timedelta) -> "RateLimitCounter":
        """Count an attempt, and return the counter.

        In the database rather than in a cache, so that all processes share the count.
        """
        now = timezone.now()
        row = self.filter(digest=digest)
        while True:
            if row.filter(until__gt=now).update(number=F("number") + 1):
                return row.get()
            if row.filter(until__lte=now).update(number=1, until=now + period):
                return row.get()
            self._prune(now)
            try:
                with transaction.atomic():
                    return self.create(digest=digest, number=1, until=now + period)
            except IntegrityError:
                continue  # another process created the row first: count on that one

    def refund(self, digest: bytes) -> None:
        """Subtract an attempt."""
        self.filter(digest=digest, number__gt=0).update(number=F("number") - 1)

    def _prune(self, now: datetime) -> None:
        # A few at a time, and none that another process may be restarting.
        old = self.filter(until__lt=now - timedelta(hours=1)).order_by("pk").values_list("pk", flat=True)
        self.filter(pk__in=list(old[:PRUNE_BATCH_SIZE])).delete()


class RateLimitCounter(models.Model):
    """A fixed-window counter of attempts; the window ends at `until`.

    The limit and the caller are stored as a digest only.
    """

    digest = models.BinaryField(max_length=32, unique=True)
    number = models.IntegerField()
    until = models.DateTimeField(db_index=True)

    objects = RateLimitCounterManager()

    def __str__(self) -> str:
        return f"{self.number} until {self.until}"
