"""The counters of rate limits."""

from datetime import timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

PRUNE_BATCH_SIZE = 100
# Counters are deleted that long after their window, for the clocks of servers differ.
PRUNE_AFTER = timedelta(minutes=1)


class RateLimitCounterManager(models.Manager["RateLimitCounter"]):
    def running(self, digest: bytes) -> "models.QuerySet[RateLimitCounter]":
        """The counter with a digest, if its window has not ended."""
        return self.filter(digest=digest, until__gt=timezone.now())

    def hit(self, digest: bytes, period: timedelta) -> "RateLimitCounter":
        """Count an attempt, and return the counter.

        In the database rather than in a cache, so that all processes share the count. A new counter removes up to
        PRUNE_BATCH_SIZE old ones, so the table does not grow beyond those that count.
        """
        now = timezone.now()
        row = self.filter(digest=digest)
        while True:
            if row.filter(until__gt=now).update(number=F("number") + 1):
                return row.get()
            if row.filter(until__lte=now).update(number=1, until=now + period):
                return row.get()
            self._prune()
            try:
                with transaction.atomic():
                    return self.create(digest=digest, number=1, until=now + period)
            except IntegrityError:
                continue  # another process created the row first: count on that one

    def restart(self, digest: bytes, period: timedelta) -> None:
        """Begin a new window with one attempt."""
        if not self.filter(digest=digest).update(number=1, until=timezone.now() + period):
            self.hit(digest, period)

    def refund(self, digest: bytes) -> None:
        """Subtract an attempt."""
        self.filter(digest=digest, number__gt=0).update(number=F("number") - 1)

    @transaction.atomic
    def _prune(self) -> None:
        # Only counters that no other process is restarting or deleting: it would have to wait.
        old = self.filter(until__lt=timezone.now() - PRUNE_AFTER).order_by("until")
        locked = old.select_for_update(skip_locked=True).values_list("pk", flat=True)
        self.filter(pk__in=list(locked[:PRUNE_BATCH_SIZE])).delete()


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
