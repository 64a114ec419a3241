"""Low-stock alerts: the admins of an account get one mail when a pool falls to its threshold, until it is refilled.

The threshold of an alert is a number of keys. An alert may instead be set in days: then the threshold is the number of
keys that the pool handed out in so many days of the last four weeks, computed again each day.
"""

import logging
import math
from datetime import date, timedelta
from threading import Lock
from uuid import UUID

from cachetools import TTLCache
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts.mail import mail_admins, quote
from keygen_site.wording import count_of
from licensing.models import Policy
from pools.models import DailyPopCount
from pools.services.statistics import summarize_pools

CHECK_SECONDS = 1.0
MAX_CHECKED_POOLS = 10_000
RATE_DAYS = 28
MAX_THRESHOLD = 2**31 - 1

logger = logging.getLogger(__name__)

# The ids of the policies whose pools this process has checked within CHECK_SECONDS, and those whose thresholds it has
# computed today, each with the day.
_checked: TTLCache[UUID, None] = TTLCache(MAX_CHECKED_POOLS, CHECK_SECONDS)
_computed: TTLCache[UUID, date] = TTLCache(MAX_CHECKED_POOLS, 24 * 60 * 60)
_checked_lock = Lock()


def alert_if_low(policy: Policy, *, after_pop: bool = True) -> None:
    """Alert the admins of the account if the pool is at its low-stock threshold or below. Called after each pop.

    Makes no query if the policy has no threshold, after the alert, and within CHECK_SECONDS of the last check.

    Args:
        after_pop: whether a check may be left out because another pop will make it. False after other changes.
    """
    if policy.low_stock_threshold is None or policy.low_stock_alerted is not None:
        return
    with _checked_lock:
        if after_pop and policy.pk in _checked:
            return
        _checked[policy.pk] = None
    threshold = _update_threshold(policy)
    available = policy.pool.available_in_order().values("pk")[: threshold + 1].count()
    if available > threshold:
        return
    # Of all processes that notice, one sends the alert.
    if Policy.objects.filter(pk=policy.pk, low_stock_alerted=None).update(low_stock_alerted=timezone.now()):
        _send_alert(policy, available)


def forget_stock_checks() -> None:
    """Make the next pop in this process check its pool, even within CHECK_SECONDS."""
    with _checked_lock:
        _checked.clear()
        _computed.clear()


def reset_low_alert(policy: Policy) -> None:
    """Let the next alert be sent, after keys were added to a pool."""
    if policy.low_stock_threshold is not None:
        Policy.objects.filter(pk=policy.pk, low_stock_alerted__isnull=False).update(low_stock_alerted=None)


def set_low_stock_alert(policy: Policy, *, keys: int | None = None, days: int | None = None) -> None:
    """Alert at a number of keys or days left, or never. An alert that is due is sent now.

    Args:
        policy: with all its fields.
    """
    policy.low_stock_days = days
    policy.low_stock_threshold = keys if days is None else count_keys_for_days(policy, days)
    policy.save(update_fields=["low_stock_threshold", "low_stock_days", "updated"])
    threshold = policy.low_stock_threshold
    if threshold is None or policy.pool.available_in_order().values("pk")[: threshold + 1].count() > threshold:
        policy.low_stock_alerted = None
        policy.save(update_fields=["low_stock_alerted"])
    alert_if_low(policy, after_pop=False)


def count_keys_for_days(policy: Policy, days: int) -> int:
    """The number of keys that a pool hands out in some days, at the mean rate of the last four weeks. At least 1."""
    today = timezone.now().date()
    first = max(today - timedelta(days=RATE_DAYS), policy.created.date())
    if first == today:
        return 1
    DailyPopCount.objects.fill([policy], first, today - timedelta(days=1))
    counts = DailyPopCount.objects.filter(policy=policy, day__gte=first, day__lt=today)
    popped = sum(counts.values_list("popped", flat=True))
    return min(max(math.ceil(days * popped / (today - first).days), 1), MAX_THRESHOLD)


def send_test_alert(policy: Policy) -> list[str]:
    """Send the admins of the account a sample of an alert, and return their emails."""
    return mail_admins(
        policy.account,
        f"Test: low-stock alert of {quote(str(policy))}",
        f"This is a test, and nothing is wrong. {_describe(policy)} is watched: when it runs low, the admins of the "
        f"account get a mail like this one.\n\n{_links(policy)}",
    )


def _update_threshold(policy: Policy) -> int:
    """The threshold in keys. That of an alert in days is computed once a day, by each process."""
    assert policy.low_stock_threshold is not None
    today = timezone.now().date()
    with _checked_lock:
        if policy.low_stock_days is None or _computed.get(policy.pk) == today:
            return policy.low_stock_threshold
        _computed[policy.pk] = today
    whole = Policy.objects.get(pk=policy.pk)
    if whole.low_stock_days is not None:
        whole.low_stock_threshold = count_keys_for_days(whole, whole.low_stock_days)
        Policy.objects.filter(pk=policy.pk, low_stock_days=whole.low_stock_days).update(
            low_stock_threshold=whole.low_stock_threshold
        )
    return whole.low_stock_threshold or 0


def _send_alert(policy: Policy, available: int) -> None:
    policy = Policy.objects.select_related("account", "product").get(pk=policy.pk)
    threshold = policy.low_stock_threshold or 0
    # Monitoring may look for "pool is low" (README).
    logger.warning(
        "pool is low: %d keys left, threshold %d, policy %s, account %s",
        available,
        threshold,
        policy.pk,
        policy.account_id,
    )
    mail_admins(
        policy.account,
        f"{quote(str(policy))}: {count_of(available, 'license key')} left",
        f"{_describe(policy)} has {count_of(available, 'key')} left{_forecast_text(policy)}. The alert is set at "
        f"{count_of(threshold, 'key')}. You'll get the next one after a refill.\n\n{_links(policy)}",
    )


def _describe(policy: Policy) -> str:
    return f"The pool {quote(str(policy))} of {quote(str(policy.product))}"


def _links(policy: Policy) -> str:
    page = settings.SITE_URL + reverse("admin:pools_pool_change", args=[policy.pk])
    return f"Pool: {page}\nPolicy: {policy.pk}\nAccount: {policy.account.slug}\n"


def _forecast_text(policy: Policy) -> str:
    (stock,) = summarize_pools(Policy.objects.filter(pk=policy.pk))
    return f", {stock.forecast.text}" if stock.forecast else ""
