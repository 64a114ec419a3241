"""Statistics of pools for the console and the commands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from keygen_site.db.bounded_counts import BoundedCount
from licensing.models import Policy
from pools.models import DailyPopCount, Key, KeyImport
from pools.models.keys import HANDED_OUT, KeyQuerySet
from pools.services.forecasts import Forecast, forecast

WEEK_DAYS = 7
CHART_DAYS = 30
MAX_COUNTED_KEYS = 100_000  # of one pool, to keep a page with many pools quick


def days_left(policy: Policy, available: int, week: int) -> int | None:
    """For how many days the available keys last at the rate of the last week. None if none was popped.

    Args:
        week: the number of keys popped in the last seven days; a new policy exists for fewer.
    """
    if not week:
        return None
    age = (timezone.now() - policy.created) / timedelta(days=1)
    return int(available / (week / min(max(age, 1), WEEK_DAYS)))


@dataclass(frozen=True)
class PoolCounts:
    """The numbers of keys in a policy's pool by state, and of those popped in the last day and week."""

    policy: Policy
    available: int = 0
    popped: int = 0
    withdrawn: int = 0
    day: int = 0
    week: int = 0


def count_pools(policies: QuerySet[Policy]) -> list[PoolCounts]:
    """The exact counts of the pools of some policies. It takes about a second for ten million keys."""
    now = timezone.now()
    policies = policies.filter(use_pool=True).select_related("account", "product")
    states = {
        "available": Q(popped=None, withdrawn=None),
        "popped": Q(popped__isnull=False, withdrawn=None),
        "withdrawn": Q(withdrawn__isnull=False),
        "day": HANDED_OUT & Q(popped__gte=now - timedelta(days=1)),
        "week": HANDED_OUT & Q(popped__gte=now - timedelta(days=WEEK_DAYS)),
    }
    numbers = {f"keys_{name}": Count("pk", filter=condition) for name, condition in states.items()}
    keys = Key.objects.filter(policy__in=policies).published().order_by()
    rows = keys.values("policy").annotate(**numbers).values_list("policy", *numbers)
    counts = {policy: dict(zip(states, row, strict=True)) for policy, *row in rows}
    return [PoolCounts(policy, **counts.get(policy.pk, {})) for policy in policies]


def countable_keys() -> KeyQuerySet:
    """The available keys, for numbers only: an import that begins at this moment may be counted with them.

    While no import is unfinished there is no condition for it, so that SQLite counts by an index alone: ten times as
    fast.
    """
    is_unfinished = connection.vendor == "sqlite" and KeyImport.objects.exclude(loading=None).exists()
    keys = Key.objects.published() if is_unfinished else Key.objects.all()
    return keys.filter(popped=None, withdrawn=None)


def midnight_of(day: date) -> datetime:
    """The start of a day (UTC)."""
    return datetime.combine(day, time.min, UTC)


def count_handed_out(start: datetime, end: datetime | None = None, *, max_counted: int) -> BoundedCount:
    """The number of keys that a pool handed out in a time, for an annotation of policies."""
    keys = Key.objects.handed_out().filter(policy=OuterRef("pk"), popped__gte=start)
    if end:
        keys = keys.filter(popped__lt=end)
    # In the order of the index, so that the database reads no more of it than it counts.
    return BoundedCount(keys.order_by("popped").values("pk")[:max_counted])


@dataclass
class PoolSummary:
    """The statistics of a pool in the console.

    Attributes:
        available: the number of available keys; if `more`, there are more than these.
        days: pops per day, today last.
        imported: the numbers of imported keys by day, as far back as `days`.
    """

    policy: Policy
    available: int
    more: bool
    days: list[tuple[date, int]]
    imported: dict[date, int] = field(default_factory=dict)

    @property
    def today(self) -> int:
        return self.days[-1][1]

    @property
    def week(self) -> int:
        return sum(number for _, number in self.days[-WEEK_DAYS:])

    @property
    def days_left(self) -> int | None:
        return days_left(self.policy, self.available, self.week)

    @property
    def forecast(self) -> Forecast | None:
        """When the pool will be empty, from the days on which it had keys."""
        known, stock = [], self.available
        for day, number in reversed(self.days):  # `stock` is that at the end of the day
            if number or (stock > 0 and day >= self.policy.created.date()):
                known.append((day, number))
            stock += number - self.imported.get(day, 0)
        return forecast(known, self.available, self.days[-1][0])

    @property
    def is_empty(self) -> bool:
        return self.available == 0

    @property
    def is_low(self) -> bool:
        threshold = self.policy.low_stock_threshold
        if threshold is None:
            return self.is_empty
        # A pool that is not counted to its end is low if its alert was sent.
        return self.available <= threshold if not self.more else self.policy.low_stock_alerted is not None

    @property
    def total(self) -> int:
        return sum(number for _, number in self.days)

    @property
    def most(self) -> int:
        """The most keys handed out on a day."""
        return max(number for _, number in self.days)

    @property
    def bars(self) -> Iterator[dict[str, Any]]:
        """The days as bars of a chart that is 100 high."""
        most = self.most or 1
        for place, (day, number) in enumerate(self.days):
            height = round(96 * number / most, 1) if number else 1
            yield {"x": place * 10 + 1, "y": 100 - height, "height": height, "day": day, "number": number}


def summarize_pools(policies: QuerySet[Policy], max_counted: int = MAX_COUNTED_KEYS) -> list[PoolSummary]:
    """The statistics of the pools of some policies, the lowest first, in a fixed number of queries.

    Args:
        max_counted: the number of keys of each pool up to which they are counted.
    """
    available = countable_keys().for_policy(OuterRef("pk")).values("pk")[: max_counted + 1]
    now = timezone.now()
    rows: list[Any] = list(
        policies.filter(use_pool=True)
        .select_related("product", "account")
        .annotate(
            available=BoundedCount(available),
            today=count_handed_out(midnight_of(now.date()), max_counted=max_counted),
        )
    )
    first, last = now.date() - timedelta(days=CHART_DAYS - 1), now.date() - timedelta(days=1)
    DailyPopCount.objects.fill(rows, first, last)
    counts = {
        (policy, day): popped
        for policy, day, popped in DailyPopCount.objects.filter(policy__in=rows, day__gte=first).values_list(
            "policy", "day", "popped"
        )
    }
    imported: dict[UUID, dict[date, int]] = {}
    imports = KeyImport.objects.filter(policy__in=rows, created__gte=midnight_of(first), loading=None).order_by()
    for policy_id, day, added in (
        imports.values("policy", day=TruncDate("created"))
        .annotate(sum=Sum("added"))
        .values_list("policy", "day", "sum")
    ):
        imported.setdefault(policy_id, {})[day] = added
    days = [first + timedelta(days=number) for number in range(CHART_DAYS - 1)]
    pools = [
        PoolSummary(
            policy=policy,
            available=min(policy.available, max_counted),
            more=policy.available > max_counted,
            days=[*((day, counts.get((policy.pk, day), 0)) for day in days), (now.date(), policy.today)],
            imported=imported.get(policy.pk, {}),
        )
        for policy in rows
    ]
    return sorted(pools, key=lambda pool: (not pool.is_low, pool.available, -pool.week))


def count_left(key_import: KeyImport) -> int:
    """The number of available keys of an import, counted up to MAX_COUNTED_KEYS."""
    return key_import.keys.available().order_by().values("pk")[:MAX_COUNTED_KEYS].count()
