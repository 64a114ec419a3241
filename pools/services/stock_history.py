"""The number of keys of a pool on each day, computed backwards from the present stock."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncDate

from keygen_site.db.conditions import unindexed
from licensing.models import Policy
from pools.models import DailyPopCount, Key, KeyEvent, KeyImport
from pools.services.charts import count_past_days

MAX_IMPORTS = 1_000  # of a pool, the newest, that a history knows
MAX_RETIRED_KEYS = 10_000  # likewise
REMOVALS = (KeyEvent.Event.REMOVED, KeyEvent.Event.MOVED)


@dataclass(frozen=True)
class StockDay:
    """The stock of a pool at the end of a day (UTC), and the changes on that day or in the days up to it.

    Attributes:
        imported: the keys of imports, and of those moved here from another pool.
        removed: keys that an import was undone of, that were moved to another pool, or retired while available.
    """

    day: date
    stock: int
    handed_out: int
    imported: int
    removed: int


@dataclass(frozen=True)
class StockHistory:
    """The stock on each of the last days, today last.

    Attributes:
        is_complete: whether the keys that were handed out on older days have been counted. If not, they are being
            counted now.
    """

    days: list[StockDay]
    is_complete: bool


def stock_history(policy: Policy, *, available: int, today: date, handed_out_today: int, days: int) -> StockHistory:
    """The history of a pool's stock, in a fixed number of queries. It begins with the pool.

    The history of keys that came one by one by the API is not known: they count as if they had always been there.

    Args:
        available: the number of available keys now.
        days: how many days, today included.
    """
    first = max(today - timedelta(days=days - 1), policy.created.date())
    is_complete = count_past_days(Policy.objects.filter(pk=policy.pk), today, days)
    out = Counter(dict(DailyPopCount.objects.filter(policy=policy, day__gte=first).values_list("day", "popped")))
    out[today] = handed_out_today
    imported, removed = _count_imported(policy, first), _count_removed(policy, first)
    history, stock = [], available
    for number in range((today - first).days, -1, -1):
        day = first + timedelta(days=number)
        history.append(StockDay(day, max(stock, 0), out[day], imported[day], removed[day]))
        stock += out[day] + removed[day] - imported[day]
    return StockHistory(history[::-1], is_complete)


def in_groups(history: list[StockDay], size: int) -> list[StockDay]:
    """A history with one entry for so many days, each with the stock at their end. The first may have fewer days."""
    start = len(history) % size
    groups = [history[:start]] if start else []
    groups += [history[place : place + size] for place in range(start, len(history), size)]
    return [
        StockDay(
            group[-1].day,
            group[-1].stock,
            sum(each.handed_out for each in group),
            sum(each.imported for each in group),
            sum(each.removed for each in group),
        )
        for group in groups
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _count_imported(policy: Policy, first: date) -> Counter[date]:
    imports = KeyImport.objects.filter(policy=policy, loading=None, created__gte=_midnight(first)).order_by()
    # Keys that were imported as used were never available.
    used = KeyEvent.objects.filter(
        key_import__in=_newest_imports(policy), event=KeyEvent.Event.ADDED, details__used=True
    ).order_by()
    imports = imports.exclude(pk__in=list(used.values_list("key_import", flat=True)))
    per_day = imports.values(day=TruncDate("created")).annotate(number=Sum("added"))
    return Counter(dict(per_day.values_list("day", "number")))


def _count_removed(policy: Policy, first: date) -> Counter[date]:
    # The index of imports has few rows; that of the pool, which SQLite would rather use, has each pop.
    events = KeyEvent.objects.filter(
        unindexed(policy=policy),
        key_import__in=_newest_imports(policy),
        event__in=REMOVALS,
        created__gte=_midnight(first),
    ).order_by()
    removed: Counter[date] = Counter()
    for created, details in events.values_list("created", "details"):
        removed[created.astimezone(UTC).date()] += (details or {}).get("count", 0)
    # In the order of the index of retired keys, and chosen here: a condition could make the database read them all.
    retired = Key.objects.for_policy(policy.pk).published().filter(withdrawn__isnull=False)
    newest = retired.order_by("-policy_id", "-id").values_list("withdrawn", "popped")[:MAX_RETIRED_KEYS]
    days = (withdrawn.astimezone(UTC).date() for withdrawn, popped in newest if popped is None)
    removed.update(day for day in days if day >= first)
    return removed


def _newest_imports(policy: Policy) -> list[UUID]:
    imports = KeyImport.objects.filter(policy=policy, loading=None).order_by("-id")
    return list(imports.values_list("pk", flat=True)[:MAX_IMPORTS])
