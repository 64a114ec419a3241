"""The Prometheus metrics of pools."""

import logging
from collections.abc import Iterator
from uuid import UUID

from django.db import Error
from django.db.models import OuterRef
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from keygen_site.observability.metrics import CachedResult
from licensing.models import Policy
from pools.models import Key
from pools.services.statistics import MAX_COUNTED_KEYS, BoundedCount

logger = logging.getLogger(__name__)


class PoolCollector(Collector):
    """The number of available keys in each pool.

    Counts are capped, so that a scrape costs little with millions of keys: an alert only needs to know low numbers.
    """

    def __init__(self) -> None:
        self.counts = CachedResult(count_available)

    def describe(self) -> list[GaugeMetricFamily]:
        return [self._family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        try:
            counts = self.counts.get()
        except Error as error:  # the other metrics matter all the more
            logger.warning("pools cannot be counted: %s", error)
            return
        for account, policy, name, available in counts:
            family.add_metric([account, str(policy), name], available)
        yield family

    def _family(self) -> GaugeMetricFamily:
        documentation = f"Available keys of a pool; {MAX_COUNTED_KEYS} stands for as many or more."
        return GaugeMetricFamily("keygen_pool_available", documentation, labels=["account", "policy", "name"])


def count_available() -> list[tuple[str, UUID, str, int]]:
    """`(slug of the account, id of the policy, its name, number of available keys)` of each pool."""
    available = Key.objects.for_policy(OuterRef("pk")).available().values("pk")[:MAX_COUNTED_KEYS]
    pools = Policy.objects.filter(use_pool=True).annotate(available=BoundedCount(available))
    return list(pools.order_by("id").values_list("account__slug", "id", "name", "available"))
