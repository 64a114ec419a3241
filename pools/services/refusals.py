"""The requests that get no key because a pool is empty, counted per pool and day: lost sales.

A refused request rolls back its transaction, and a client may send thousands a second to an empty pool. So each process
counts in memory, and a thread adds the counts to the database every FLUSH_SECONDS while there are any.
"""

import logging
import os
from collections import Counter
from datetime import date
from threading import Lock, Timer
from uuid import UUID

from django.db import Error, connection
from django.db.models import F
from django.utils import timezone

from licensing.models import Policy
from pools.models import DailyRefusalCount

FLUSH_SECONDS = 5.0
MAX_COUNTED_POOLS = 1_000  # between two flushes; requests to further pools are not counted

logger = logging.getLogger(__name__)

_counts: Counter[tuple[UUID, date]] = Counter()
_counts_lock = Lock()


def count_refusal(policy: Policy) -> None:
    """Count a request that found the policy's pool empty. Makes no query."""
    pool_day = (policy.pk, timezone.now().date())
    with _counts_lock:
        if len(_counts) >= MAX_COUNTED_POOLS and pool_day not in _counts:
            return
        is_first = not _counts
        _counts[pool_day] += 1
    if is_first:
        flush = Timer(FLUSH_SECONDS, _flush_in_thread)
        flush.daemon = True
        flush.start()


def flush_refusals() -> None:
    """Add the counts of this process to those in the database."""
    with _counts_lock:
        counts = dict(_counts)
        _counts.clear()
    existing = set(Policy.objects.filter(pk__in={policy for policy, _ in counts}).values_list("pk", flat=True))
    # In the order of ids, so that two processes cannot deadlock.
    ordered = sorted((pool_day, count) for pool_day, count in counts.items() if pool_day[0] in existing)
    DailyRefusalCount.objects.bulk_create(
        [DailyRefusalCount(policy_id=policy, day=day) for (policy, day), _ in ordered], ignore_conflicts=True
    )
    for (policy, day), count in ordered:
        DailyRefusalCount.objects.filter(policy=policy, day=day).update(refused=F("refused") + count)


def _flush_in_thread() -> None:
    try:
        flush_refusals()
    except Error as error:
        logger.warning("requests refused by empty pools were not counted: %s", type(error).__name__)
    finally:
        connection.close()


def forget_refusals() -> None:
    """Drop the counts of this process: after a fork the parent has them, and its thread."""
    global _counts_lock
    _counts_lock = Lock()
    _counts.clear()


os.register_at_fork(after_in_child=forget_refusals)
