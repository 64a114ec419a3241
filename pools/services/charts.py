"""The keys handed out in all pools: totals, compared with those of the week before, and a chart by product."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts import background
from licensing.models import Policy, Product
from pools.models import DailyPopCount
from pools.services.statistics import CHART_DAYS, MAX_COUNTED_KEYS, WEEK_DAYS, count_handed_out, midnight_of

# By the length of a chart in days: the days of a bar. A whole number of bars, so that the first one is not cut.
BAR_DAYS = {30: 1, 90: 1, 364: 7}
MAX_SERIES = 5  # products with a color of their own
FILL_DAYS = 30  # counted at a time
HEIGHT, BAR_WIDTH = 100.0, 10


@dataclass(frozen=True)
class Series:
    """The bars of a product, or of all products that have no series of their own."""

    name: str
    total: int


@dataclass(frozen=True)
class Bar:
    """A bar of the chart: the keys handed out from `first` to `last`, by series."""

    first: date
    last: date
    counts: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Chart:
    """The keys handed out per day or week, by product, the present day last.

    Attributes:
        is_complete: whether all days are counted; older ones are counted in the background.
    """

    series: Sequence[Series]
    bars: Sequence[Bar]
    is_complete: bool

    @property
    def width(self) -> int:
        return BAR_WIDTH * len(self.bars)

    @property
    def first(self) -> date:
        return self.bars[0].first

    @property
    def middle(self) -> date:
        return self.bars[len(self.bars) // 2].first

    @property
    def bar_days(self) -> int:
        return (self.bars[0].last - self.bars[0].first).days + 1

    @property
    def most(self) -> int:
        return max(bar.total for bar in self.bars)

    @property
    def top(self) -> int:
        """The number at the top of the axis: even, with few digits, at least `most`."""
        step = 1
        while True:
            for factor in (2, 4, 6, 10):
                if self.most <= factor * step:
                    return factor * step
            step *= 10

    @property
    def half(self) -> int:
        return self.top // 2

    @property
    def total(self) -> int:
        return sum(series.total for series in self.series)

    def columns(self) -> Iterator[dict[str, Any]]:
        """The bars as stacked rectangles in a chart that is HEIGHT high, and BAR_WIDTH wide for each bar."""
        for place, bar in enumerate(self.bars):
            y, parts = HEIGHT, []
            for number, count in enumerate(bar.counts):
                if count:
                    height = round(HEIGHT * count / self.top, 2)
                    y = round(y - height, 2)
                    parts.append({"number": number, "y": y, "height": height})
            yield {"bar": bar, "x": place * BAR_WIDTH, "parts": parts, "is_last": place == len(self.bars) - 1}


@dataclass(frozen=True)
class Totals:
    """The keys handed out today and in seven days, and the same a week before, up to this time of the day."""

    today: int
    same_day: int
    week: int
    week_before: int


def summarize_demand(policies: QuerySet[Policy], days: int = CHART_DAYS) -> tuple[Totals, Chart]:
    """The totals and the chart of the pools of some policies, in a fixed number of queries.

    Args:
        days: one of BAR_DAYS.
    """
    now = timezone.now()
    today, week_ago = now.date(), now - timedelta(days=WEEK_DAYS)
    pools = policies.filter(use_pool=True).order_by()
    is_complete = count_past_days(pools, today, days)
    recent = pools.annotate(
        today=count_handed_out(midnight_of(today), max_counted=MAX_COUNTED_KEYS),
        same_day=count_handed_out(midnight_of(week_ago.date()), week_ago, max_counted=MAX_COUNTED_KEYS),
    ).values_list("product", "today", "same_day")
    by_product: dict[UUID, int] = {}
    same_day = 0
    for product, count, count_before in recent:
        by_product[product] = by_product.get(product, 0) + count
        same_day += count_before
    counts = DailyPopCount.objects.filter(policy__in=pools.values("pk"), day__lt=today).order_by()
    per_day = dict(
        counts.filter(day__gte=today - timedelta(days=max(days, 2 * WEEK_DAYS)))
        .values("day")
        .annotate(total=Sum("popped"))
        .values_list("day", "total")
    )
    totals = _totals(per_day, today, sum(by_product.values()), same_day)
    return totals, _chart(counts, per_day, by_product, today, days, is_complete)


def _totals(per_day: dict[date, int], today: date, count: int, same_day: int) -> Totals:
    def sum_of_days_before(day: date) -> int:
        return sum(per_day.get(day - timedelta(days=number), 0) for number in range(1, WEEK_DAYS))

    week_ago = today - timedelta(days=WEEK_DAYS)
    return Totals(count, same_day, count + sum_of_days_before(today), same_day + sum_of_days_before(week_ago))


def _chart(
    counts: QuerySet[DailyPopCount],
    per_day: dict[date, int],
    today_by_product: dict[UUID, int],
    today: date,
    days: int,
    is_complete: bool,
) -> Chart:
    first = today - timedelta(days=days - 1)
    counts = counts.filter(day__gte=first)
    ranking = counts.values("policy__product").annotate(total=Sum("popped")).filter(total__gt=0)
    totals = dict(
        ranking.order_by("-total", "policy__product").values_list("policy__product", "total")[: MAX_SERIES + 1]
    )
    for product, count in today_by_product.items():
        if count and (product in totals or len(totals) <= MAX_SERIES):
            totals[product] = totals.get(product, 0) + count
    shown = sorted(totals, key=lambda product: (-totals[product], product))[:MAX_SERIES]
    by_day: dict[tuple[UUID, date], int] = {
        (product, day): count
        for product, day, count in counts.filter(policy__product__in=shown)
        .values("policy__product", "day")
        .annotate(total=Sum("popped"))
        .values_list("policy__product", "day", "total")
    }
    by_day |= {(product, today): today_by_product.get(product, 0) for product in shown}
    all_days = per_day | {today: sum(today_by_product.values())}

    def counts_from(start: date) -> list[int]:
        dates = [start + timedelta(days=number) for number in range(BAR_DAYS[days])]
        numbers = [sum(by_day.get((product, day), 0) for day in dates) for product in shown]
        return [*numbers, sum(all_days.get(day, 0) for day in dates) - sum(numbers)]

    length = timedelta(days=BAR_DAYS[days])
    starts = [first + number * length for number in range(days // length.days)]
    rows = [counts_from(start) for start in starts]
    names = dict(Product.objects.filter(pk__in=shown).values_list("pk", "name"))
    sums = [sum(column) for column in zip(*rows, strict=True)]
    series = [Series(names.get(product, ""), sums[number]) for number, product in enumerate(shown)]
    if sums[-1]:
        series.append(Series("Other products", sums[-1]))
    bars = [
        Bar(start, start + length - timedelta(days=1), row[: len(series)])
        for start, row in zip(starts, rows, strict=True)
    ]
    return Chart(series, bars, is_complete)


def count_past_days(pools: QuerySet[Policy], today: date, days: int) -> bool:
    """Store the counts of the last days, and let those of older days be stored. Returns whether none is missing."""
    policies = list(pools.only("created"))
    yesterday = today - timedelta(days=1)
    DailyPopCount.objects.fill(policies, today - timedelta(days=CHART_DAYS - 1), yesterday)
    first = today - timedelta(days=days - 1)
    if days <= CHART_DAYS or not DailyPopCount.objects.count_missing(policies, first, yesterday):
        return True
    background.run_in_background(_count_in_thread, [policy.pk for policy in policies], first, yesterday)
    return False


def count_older_days(policy_ids: Sequence[UUID], first: date, last: date) -> None:
    """Store the missing counts of some policies, FILL_DAYS at a time, the latest first."""
    policies = list(Policy.objects.filter(pk__in=policy_ids).only("created"))
    while last >= first:
        start = max(last - timedelta(days=FILL_DAYS - 1), first)
        DailyPopCount.objects.fill(policies, start, last)
        last = start - timedelta(days=1)


def _count_in_thread(policy_ids: Sequence[UUID], first: date, last: date) -> None:
    try:
        count_older_days(policy_ids, first, last)
    finally:
        connection.close()
