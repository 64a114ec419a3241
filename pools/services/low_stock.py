"""Low-stock alerts: the admins of an account get one mail when a pool falls to its threshold, until it is refilled."""

import logging
from threading import Lock
from uuid import UUID

from cachetools import TTLCache
from django.utils import timezone

from accounts.mail import mail_admins, quote
from licensing.models import Policy

CHECK_SECONDS = 1.0
MAX_CHECKED_POOLS = 10_000

logger = logging.getLogger(__name__)

# The ids of the policies whose pools this process has checked within CHECK_SECONDS.
_checked: TTLCache[UUID, None] = TTLCache(MAX_CHECKED_POOLS, CHECK_SECONDS)
_checked_lock = Lock()


def alert_if_low(policy: Policy, *, after_pop: bool = True) -> None:
    """Alert the admins of the account if the pool is at its low-stock threshold or below. Called after each pop.

    Makes no query if the policy has no threshold, after the alert, and within CHECK_SECONDS of the last check.

    Args:
        after_pop: whether a check may be left out because another pop will make it. False after other changes.
    """
    threshold = policy.low_stock_threshold
    if threshold is None or policy.low_stock_alerted is not None:
        return
    with _checked_lock:
        if after_pop and policy.pk in _checked:
            return
        _checked[policy.pk] = None
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


def reset_low_alert(policy: Policy) -> None:
    """Let the next alert be sent, after keys were added to a pool."""
    if policy.low_stock_threshold is not None:
        Policy.objects.filter(pk=policy.pk, low_stock_alerted__isnull=False).update(low_stock_alerted=None)


def _send_alert(policy: Policy, available: int) -> None:
    # Monitoring may look for "pool is low" (README).
    logger.warning(
        "pool is low: %d keys left, threshold %d, policy %s, account %s",
        available,
        policy.low_stock_threshold,
        policy.pk,
        policy.account_id,
    )
    policy = Policy.objects.select_related("account", "product").get(pk=policy.pk)
    name, product = quote(str(policy)), quote(str(policy.product))
    mail_admins(
        policy.account,
        f"{name}: {available} license keys left",
        f"The pool of the policy {name} of {product} has {available} keys left; its low-stock threshold is "
        f"{policy.low_stock_threshold}.\n\nThe next alert is sent after keys were added and the pool is low again.\n\n"
        f"Policy: {policy.pk}\nAccount: {policy.account.slug}\n",
    )
