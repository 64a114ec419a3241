"""The numbers at /metrics, for Prometheus.

Several processes answer requests, and each scrape reaches one of them. They share their numbers in the folder that
the variable PROMETHEUS_MULTIPROC_DIR names; without it each tells its own.
"""

import os
import time

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# What asks the database when it is scraped, rather than being counted as it happens; apps add theirs when they start.
_collectors = []


def register(collector):
    """Have a collector's numbers told with the others."""
    _collectors.append(collector)


def exposition():
    """All numbers in the text format of Prometheus, as bytes."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        registry = REGISTRY
    else:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    asked = CollectorRegistry()
    for collector in _collectors:
        asked.register(collector)
    return generate_latest(registry) + generate_latest(asked)


class CachedResult:
    """A result that is asked for anew only after some time, and after long enough that asking costs little.

    Args:
        ask: returns the result.
        seconds: how long it is good for at least.
        share: how much of the time asking may take at most.
    """

    def __init__(self, ask, seconds=5.0, share=0.02):
        self.ask, self.seconds, self.share = ask, seconds, share
        self.forget()

    def forget(self):
        self.result, self.until = None, 0.0

    def get(self):
        began = time.monotonic()
        if began >= self.until:
            self.result = self.ask()
            now = time.monotonic()
            self.until = now + max(self.seconds, (now - began) / self.share)
        return self.result
