"""The metrics at /metrics, for Prometheus.

Several processes serve requests, and each scrape reaches one of them. They share their numbers in the folder that the
variable PROMETHEUS_MULTIPROC_DIR names; without it, a scrape shows those of one process.
"""

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import TLRUCache, cached
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

Result = TypeVar("Result")

# Collectors that query the database at each scrape, rather than count events; apps add theirs when they start.
_collectors: list[Collector] = []


def register_collector(collector: Collector) -> None:
    """Add a collector that is run at each scrape."""
    _collectors.append(collector)


def render_metrics() -> bytes:
    """All metrics in the text format of Prometheus."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        registry = REGISTRY
    else:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    at_scrape = CollectorRegistry()
    for collector in _collectors:
        at_scrape.register(collector)
    return generate_latest(registry) + generate_latest(at_scrape)


class CachedResult(Generic[Result]):
    """Caches the result of a function, and for longer if computing it is slow.

    Args:
        compute: returns the result.
        min_seconds: the minimum time that a result is cached for.
        max_share: the maximum share of the time that computing may take.
    """

    def __init__(self, compute: Callable[[], Result], *, min_seconds: float = 5.0, max_share: float = 0.02) -> None:
        def compute_timed() -> tuple[Result, float]:
            began = time.monotonic()
            return compute(), time.monotonic() - began

        def expiry(key: object, value: tuple[Result, float], now: float) -> float:
            return now + max(min_seconds, value[1] / max_share)

        self._get = cached(TLRUCache(1, expiry, timer=time.monotonic), lock=Lock())(compute_timed)

    def get(self) -> Result:
        """The cached result, or a new one if that has expired."""
        return self._get()[0]
