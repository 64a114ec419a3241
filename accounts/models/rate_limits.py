"""How often something was tried."""

from datetime import timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

PRUNED_AT_ONCE = 100


class RateLimitCounterManager(models.Manager):
    def add(self, digest, period):
        """Count one more attempt, and return how many there are: a row of `RateLimitCounter`.

        In the database rather than in a cache, so that all processes count together, and none counts twice.
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
                continue  # somebody else was quicker: theirs is the row to count on

    def refund(self, digest):
        """Take one attempt back."""
        self.filter(digest=digest, number__gt=0).update(number=F("number") - 1)

    def _prune(self, now):
        # A few at a time, and not those that somebody may just be starting again.
        old = self.filter(until__lt=now - timedelta(hours=1)).order_by("pk").values_list("pk", flat=True)
        self.filter(pk__in=list(old[:PRUNED_AT_ONCE])).delete()


class RateLimitCounter(models.Model):
    """How often something was tried since the first time, until a moment after which it is counted anew.

    What was tried, and by whom, is kept as a digest only.
    """

    digest = models.BinaryField(max_length=32, unique=True)
    number = models.IntegerField()
    until = models.DateTimeField(db_index=True)

    objects = RateLimitCounterManager()

    def __str__(self):
        return f"{self.number} until {self.until}"
