from django.db import models

from licensing.models import Policy


class DailyRefusalCount(models.Model):
    """The number of requests on a day (UTC) that got no key because the pool was empty.

    Each process writes its counts every few seconds and loses them if it is killed: `pools.services.refusals`.
    """

    policy = models.ForeignKey(Policy, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    refused = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "day"], name="pools_refusals_unique")]

    def __str__(self) -> str:
        return f"{self.refused} on {self.day}"
