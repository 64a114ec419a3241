from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef

from keygen_site.models import Resource
from licensing.models import Policy
from pools.models.key_events import KeyEvent


class MutedPoolQuerySet(models.QuerySet["MutedPool"]):
    def in_force(self) -> Self:
        """Without those whose pool got keys after it was muted."""
        # The ids of rows are in the order of their creation.
        refills = KeyEvent.objects.filter(
            policy=OuterRef("policy"), pk__gt=OuterRef("pk"), event=KeyEvent.Event.ADDED
        ).order_by()
        return self.exclude(Exists(refills))


class MutedPool(Resource):
    """A pool that operators are not reminded of, however few keys it has, until keys are added to it.

    Nothing deletes the row at a refill, so that imports cost no more: it is no longer in force then.
    """

    policy = models.OneToOneField(Policy, models.CASCADE, related_name="muted")
    operator = models.CharField(max_length=255)
    operator_id = models.UUIDField(null=True)

    objects = MutedPoolQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.policy_id)
