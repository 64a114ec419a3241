"""Low marks: somebody is told when few keys of a pool are left, once until it is filled again."""

import logging
import time

from django.utils import timezone

from accounts.mail import mail_admins
from licensing.models import Policy

LOOK_SECONDS = 1.0
MOST_KNOWN = 10_000

logger = logging.getLogger(__name__)

# policy id -> when this process looked last. A pool that is popped a thousand times a second is looked at once.
_looked = {}


def alert_if_low(policy):
    """Tell the admins of the account where a pool with a low mark has come to it; after a pop that stands.

    Costs no statement once they know, nor twice in a second.
    """
    if policy.low_stock_alerted is not None:
        return
    now = time.monotonic()
    if now - _looked.get(policy.pk, -LOOK_SECONDS) < LOOK_SECONDS:
        return
    if len(_looked) >= MOST_KNOWN:
        _looked.clear()
    _looked[policy.pk] = now
    waiting = policy.pool.waiting().values("pk")[: policy.low_stock_threshold + 1].count()
    if waiting > policy.low_stock_threshold:
        return
    # Of all processes that see it, one tells.
    if Policy.objects.filter(pk=policy.pk, low_stock_alerted=None).update(low_stock_alerted=timezone.now()):
        _tell(policy, waiting)


def forget_stock_checks():
    """Let the next pop in this process look at its pool again, however soon."""
    _looked.clear()


def reset_low_alert(policy):
    """Keys have come into a pool: when it gets low again, that is new."""
    if policy.low_stock_threshold is not None:
        Policy.objects.filter(pk=policy.pk, low_stock_alerted__isnull=False).update(low_stock_alerted=None)


def _tell(policy, waiting):
    # Monitoring may look for "pool is low" (README, "Low mark").
    logger.warning(
        "pool is low: %d keys left, mark %d, policy %s, account %s",
        waiting,
        policy.low_stock_threshold,
        policy.pk,
        policy.account_id,
    )
    policy = Policy.objects.select_related("account", "product").get(pk=policy.pk)
    mail_admins(
        policy.account,
        f"{policy}: {waiting} license keys left",
        f"The pool of the policy {policy} of {policy.product} has {waiting} keys left; its low mark is "
        f"{policy.low_stock_threshold}.\n\nYou are told once: again when keys were imported and have run low.\n\n"
        f"Policy: {policy.pk}\nAccount: {policy.account.slug}\n",
    )
