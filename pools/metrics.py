"""What /metrics says about pools."""

import logging

from django.db import Error
from django.db.models import OuterRef
from prometheus_client.core import GaugeMetricFamily

from keygen_site.observability.metrics import CachedResult
from licensing.models import Policy
from pools.models import Key
from pools.services.statistics import MOST_COUNTED, BoundedCount

logger = logging.getLogger(__name__)


class PoolCollector:
    """How many keys wait in each pool.

    So many are counted and no more, for a scrape must cost little also where there are millions: who watches a pool
    wants to know when it runs low.
    """

    def __init__(self):
        self.counts = CachedResult(count_available)

    def describe(self):
        return [self._family()]

    def collect(self):
        family = self._family()
        try:
            counts = self.counts.get()
        except Error as error:  # the other numbers matter all the more
            logger.warning("pools cannot be counted: %s", error)
            return
        for account, policy, name, available in counts:
            family.add_metric([account, str(policy), name], available)
        yield family

    def _family(self):
        documentation = f"Keys that wait in a pool; {MOST_COUNTED} stands for as many or more."
        return GaugeMetricFamily("keygen_pool_available", documentation, labels=["account", "policy", "name"])


def count_available():
    """`(slug of the account, id of the policy, its name, keys that wait)` of each pool."""
    waiting = Key.objects.for_policy(OuterRef("pk")).available().values("pk")[:MOST_COUNTED]
    pools = Policy.objects.filter(use_pool=True).annotate(available=BoundedCount(waiting))
    return list(pools.order_by("id").values_list("account__slug", "id", "name", "available"))
