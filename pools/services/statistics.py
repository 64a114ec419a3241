"""Exact numbers of pools, for reports that may take a second for each ten million keys."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from licensing.models import Policy
from pools.models import DailyPopCount, Key, KeyImport

WEEK = 7  # days


def days_left(policy, available, week):
    """For how many days a pool will do at the pace of the last seven, or of fewer in a new one; None: for ever."""
    if not week:
        return None
    age = (timezone.now() - policy.created) / timedelta(days=1)
    return int(available / (week / min(max(age, 1), WEEK)))


@dataclass(frozen=True)
class PoolCounts:
    """How many keys of a policy's pool are in which state, and how many left it lately."""

    policy: Policy
    available: int = 0
    popped: int = 0
    withdrawn: int = 0
    day: int = 0
    week: int = 0


def count_pools(policies: QuerySet[Policy]) -> list[PoolCounts]:
    """The numbers of the pools of some policies, in one pass over their keys; `day` and `week` end now."""
    now = timezone.now()
    policies = policies.filter(use_pool=True).select_related("account", "product")
    states = {
        "available": Q(popped=None, withdrawn=None),
        "popped": Q(popped__isnull=False),
        "withdrawn": Q(withdrawn__isnull=False),
        "day": Q(popped__gte=now - timedelta(days=1)),
        "week": Q(popped__gte=now - timedelta(days=WEEK)),
    }
    numbers = {f"keys_{name}": Count("pk", filter=condition) for name, condition in states.items()}
    keys = Key.objects.filter(policy__in=policies).published().order_by()
    rows = keys.values("policy").annotate(**numbers).values_list("policy", *numbers)
    counted = {policy: dict(zip(states, counts, strict=True)) for policy, *counts in rows}
    return [PoolCounts(policy, **counted.get(policy.pk, {})) for policy in policies]


DAYS = 30


MOST_COUNTED = 100_000  # keys of one pool; a home with many pools would take long otherwise


class BoundedCount(Subquery):
    """How many rows a sliced subquery has."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


@dataclass
class Pool:
    """A pool in numbers.

    Attributes:
        available: how many keys wait; `more` says that there are more than these.
        days: pops per day, the oldest day first, today last.
    """

    policy: Policy
    available: int
    more: bool
    days: list[tuple[date, int]]

    @property
    def today(self):
        return self.days[-1][1]

    @property
    def week(self):
        return sum(number for _, number in self.days[-WEEK:])

    @property
    def days_left(self):
        return days_left(self.policy, self.available, self.week)

    @property
    def is_empty(self):
        return self.available == 0

    @property
    def is_low(self):
        mark = self.policy.low_stock_threshold
        return mark is not None and self.available <= mark

    @property
    def bars(self):
        """The days as bars of a chart that is 100 high: where each is, and what it says."""
        most = max((number for _, number in self.days), default=0) or 1
        for place, (day, number) in enumerate(self.days):
            height = round(96 * number / most, 1) if number else 1
            yield {"x": place * 10 + 1, "y": 100 - height, "height": height, "day": day, "number": number}


def overview(policies, most=MOST_COUNTED):
    """The pools of some policies, the lowest first: a fixed number of statements for all of them."""
    waiting = Key.objects.for_policy(OuterRef("pk")).available().values("pk")[: most + 1]
    now = timezone.now()
    midnight = datetime.combine(now.date(), time.min, UTC)
    today = Key.objects.filter(policy=OuterRef("pk"), popped__gte=midnight).order_by().values("pk")[:most]
    policies = list(
        policies.filter(use_pool=True)
        .select_related("product", "account")
        .annotate(available=BoundedCount(waiting), today=BoundedCount(today))
    )
    first, last = now.date() - timedelta(days=DAYS - 1), now.date() - timedelta(days=1)
    DailyPopCount.objects.fill(policies, first, last)
    counted = {
        (policy, day): popped
        for policy, day, popped in DailyPopCount.objects.filter(policy__in=policies, day__gte=first).values_list(
            "policy", "day", "popped"
        )
    }
    days = [first + timedelta(days=number) for number in range(DAYS - 1)]
    pools = [
        Pool(
            policy=policy,
            available=min(policy.available, most),
            more=policy.available > most,
            days=[*((day, counted.get((policy.pk, day), 0)) for day in days), (now.date(), policy.today)],
        )
        for policy in policies
    ]
    return sorted(pools, key=lambda pool: (not pool.is_low, pool.available, -pool.week))


def left_of(key_import: KeyImport, most=MOST_COUNTED):
    """How many keys of an import still wait, `most` at most."""
    return key_import.keys.available().order_by().values("pk")[:most].count()
