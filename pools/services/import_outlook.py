"""The stock of a pool after an import, and how long it lasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from licensing.models import Policy
from pools.key_files.warnings import SHOWN_PREFIX, find_common_prefix
from pools.models import DailyPopCount, Key, KeyImport
from pools.services.file_warnings import sample_pool
from pools.services.forecasts import FORECAST_DAYS, Forecast, forecast
from pools.services.statistics import MAX_COUNTED_KEYS


@dataclass(frozen=True)
class Outlook:
    """The stock of a pool.

    Attributes:
        available: the number of keys; if `more`, there are more than these.
        forecast: when they will be gone. None if there are none, or if the pool handed out none in the last weeks.
    """

    available: int
    more: bool
    forecast: Forecast | None


def pool_outlook(policy: Policy, added: int = 0) -> Outlook:
    """The stock of a pool after `added` more keys."""
    keys = policy.pool.available_in_order().values("pk")[: MAX_COUNTED_KEYS + 1]
    counted = keys.count()
    today = timezone.now().date()
    first = max(today - timedelta(days=FORECAST_DAYS), policy.created.date())
    last = today - timedelta(days=1)
    if first <= last:
        DailyPopCount.objects.fill([policy], first, last)
    stored = DailyPopCount.objects.filter(policy=policy, day__gte=first).values_list("day", "popped")
    midnight = datetime.combine(today, time.min, timezone.now().tzinfo)
    popped = Key.objects.handed_out().filter(policy=policy, popped__gte=midnight).values("pk")[:MAX_COUNTED_KEYS]
    days = [*stored, (today, popped.count())]
    available = min(counted, MAX_COUNTED_KEYS) + added
    return Outlook(available, counted > MAX_COUNTED_KEYS, forecast(days, available, today))


def find_shared_prefix(policy: Policy, texts: Sequence[str]) -> str:
    """The common prefix of some new keys and of the keys of a pool, shortened; empty if they have none."""
    prefix = find_common_prefix(sample_pool(policy))
    return prefix[:SHOWN_PREFIX] if texts and all(text.startswith(prefix) for text in texts) else ""


@dataclass(frozen=True)
class BatchCounts:
    """The numbers of keys of an import by state.

    Attributes:
        available: those that can be handed out; if `more`, there are more than these.
        removable: the undisclosed ones among them; an undo removes them. The same bound applies.
        popped, withdrawn: None for an import that is too large to count them.
    """

    available: int
    removable: int
    more: bool = False
    popped: int | None = None
    withdrawn: int | None = None


def count_batch(key_import: KeyImport) -> BatchCounts:
    """The numbers of keys of an import, of at most MAX_COUNTED_KEYS rows."""
    is_available = Q(popped=None, withdrawn=None)
    if key_import.added <= MAX_COUNTED_KEYS:
        counts = key_import.keys.order_by().aggregate(
            n_available=Count("pk", filter=is_available),
            n_removable=Count("pk", filter=is_available & Q(disclosed=None)),
            n_popped=Count("pk", filter=Q(popped__isnull=False, withdrawn=None)),
            n_withdrawn=Count("pk", filter=Q(withdrawn__isnull=False)),
        )
        return BatchCounts(
            counts["n_available"],
            counts["n_removable"],
            popped=counts["n_popped"],
            withdrawn=counts["n_withdrawn"],
        )
    # The available keys of the pool have an index; those of the import may be few of millions.
    first = Key.objects.for_policy(key_import.policy_id).available()[: MAX_COUNTED_KEYS + 1]
    is_of_import = Q(key_import=key_import)
    counts = first.aggregate(
        n_all=Count("pk"),
        n_available=Count("pk", filter=is_of_import),
        n_removable=Count("pk", filter=is_of_import & Q(disclosed=None)),
    )
    return BatchCounts(counts["n_available"], counts["n_removable"], more=counts["n_all"] > MAX_COUNTED_KEYS)
