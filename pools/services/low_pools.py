"""The pools that are empty or at their low-stock threshold, found in the database among any number of pools."""

from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, Case, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.models import User
from licensing.models import Policy
from pools.models import Key, KeyEvent, MutedPool
from pools.services.statistics import BoundedCount

# A pool is counted up to the next of these numbers from its threshold on. A LIMIT cannot depend on the row.
COUNT_LIMITS = (0, 30, 100, 300, 1_000, 3_000, 10_000)
# The events that leave a pool with one key less, or with fewer.
TAKING_EVENTS = (
    KeyEvent.Event.POPPED,
    KeyEvent.Event.ISSUED,
    KeyEvent.Event.WITHDRAWN,
    KeyEvent.Event.REMOVED,
    KeyEvent.Event.MOVED,
)


def find_low_pools(policies: QuerySet[Policy]) -> QuerySet[Policy]:
    """The pools of some policies that are empty, or have as many keys as their low-stock threshold or fewer.

    The emptiest come first. A pool with a threshold above the last of COUNT_LIMITS is low once its alert is sent: that
    many keys are not counted on each page.
    """
    available = Key.objects.for_policy(OuterRef("pk")).available().values("pk")
    threshold = Coalesce("low_stock_threshold", 0)
    # For a threshold that is not counted, any number on the right side of it.
    many, none = Value(2**31, output_field=BigIntegerField()), Value(0, output_field=BigIntegerField())
    alerted = Case(When(low_stock_alerted=None, then=many), default=none)
    left = Case(
        When(low_stock_threshold=None, then=BoundedCount(available[:1])),
        *(When(low_stock_threshold__lte=limit, then=BoundedCount(available[: limit + 1])) for limit in COUNT_LIMITS),
        default=alerted,
        output_field=BigIntegerField(),
    )
    return policies.filter(use_pool=True).annotate(left=left).filter(left__lte=threshold).order_by("left", "name", "id")


def find_needy_pools(policies: QuerySet[Policy]) -> QuerySet[Policy]:
    """The pools of `find_low_pools`, without those that are muted."""
    return find_low_pools(policies).exclude(pk__in=MutedPool.objects.in_force().values("policy"))


def with_emptied(policies: QuerySet[Policy]) -> QuerySet[Any]:
    """Annotate each pool with `emptied`: when its last available key left it. None if it never had one.

    Only meaningful for an empty pool.
    """
    # A key that had been popped before it was withdrawn had left the pool already.
    withdrawn_late = Q(event=KeyEvent.Event.WITHDRAWN, key__popped__isnull=False)
    taken = (
        # A range, for the reason that `KeyQuerySet.for_policy` gives.
        KeyEvent.objects.filter(policy__gte=OuterRef("pk"), policy__lte=OuterRef("pk"), event__in=TAKING_EVENTS)
        .exclude(withdrawn_late)
        .order_by("-policy_id", "-id")
    )
    return policies.annotate(emptied=Subquery(taken.values("created")[:1]))


@transaction.atomic
def mute_pool(policy: Policy, operator: User) -> None:
    """Do not remind operators of a pool until keys are added to it."""
    MutedPool.objects.filter(policy=policy).delete()
    muted = MutedPool(policy=policy, operator=operator.email, operator_id=operator.pk)
    MutedPool.objects.bulk_create([muted], ignore_conflicts=True)  # of another operator at the same time


def unmute_pool(policy: Policy) -> None:
    """Remind operators of a pool again."""
    MutedPool.objects.filter(policy=policy).delete()
