"""Exact numbers of pools, for reports that may take a second for each ten million keys."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from licensing.models import Policy
from pools.models import Key

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
