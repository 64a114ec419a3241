from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from django.db import models
from django.db.models import Count
from django.db.models.functions import TruncDate

from licensing.models import Policy
from pools.models.keys import Key


class DailyPopCountManager(models.Manager["DailyPopCount"]):
    def count_missing(self, policies: Sequence[Policy], first: date, last: date) -> int:
        """The number of counts that some policies lack, from `first` or their creation to `last`."""
        expected = sum(max((last - max(first, policy.created.date())).days + 1, 0) for policy in policies)
        return expected - self.filter(policy__in=policies, day__range=(first, last)).count()

    def fill(self, policies: Sequence[Policy], first: date, last: date) -> None:
        """Store the missing counts of some policies for the days from `first` to `last`, which must be over."""
        if not self.count_missing(policies, first, last):
            return
        known = set(self.filter(policy__in=policies, day__range=(first, last)).values_list("policy", "day"))
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        missing = [
            (policy.pk, day)
            for policy in policies
            for day in days
            if day >= policy.created.date() and (policy.pk, day) not in known
        ]
        start = datetime.combine(min(day for _, day in missing), time.min, UTC)
        end = datetime.combine(last + timedelta(days=1), time.min, UTC)
        pops = Key.objects.handed_out().filter(
            policy__in={policy for policy, _ in missing}, popped__gte=start, popped__lt=end
        )
        counts = {
            (policy, day): number
            for policy, day, number in pops.order_by()
            .values("policy", day=TruncDate("popped"))
            .annotate(number=Count("*"))
            .values_list("policy", "day", "number")
        }
        self.bulk_create(
            [self.model(policy_id=policy, day=day, popped=counts.get((policy, day), 0)) for policy, day in missing],
            ignore_conflicts=True,
        )


class DailyPopCount(models.Model):
    """The number of keys popped from a pool on a past day (UTC). Stored, because counting millions takes long."""

    policy = models.ForeignKey(Policy, models.CASCADE, related_name="pool_days", db_index=False)
    day = models.DateField()
    popped = models.PositiveBigIntegerField()

    objects = DailyPopCountManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "day"], name="pools_poolday_unique")]

    def __str__(self) -> str:
        return f"{self.popped} on {self.day}"
