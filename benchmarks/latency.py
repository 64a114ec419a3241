"""Compares a distant database with a near one: `python -m benchmarks --latency 1`, in milliseconds.

Servers of one worker run on one PostgreSQL: two for each number of threads, one of them behind a proxy that delays each
round trip.
"""

import os
from contextlib import ExitStack
from statistics import median

from benchmarks.load import run
from benchmarks.servers import Server, database, server
from benchmarks.testbed.delay import delayed

WORKLOADS = ("get", "validate-key", "pop", "idempotent pop", "issue")
MIN_RATIO = 0.6


def compare(milliseconds: float, rounds: int, seconds: float, connections: int, threads: list[int]) -> bool:
    """Print the rates of the servers; whether each is at least MIN_RATIO of the rate without the delay.

    Args:
        threads: numbers of threads of the worker; empty for the shipped setting.
    """
    with database("postgresql"), ExitStack() as running:
        from django.conf import settings

        from benchmarks.workloads import build_workloads  # after django.setup()

        threads = threads or [settings.THREADS]
        workloads = build_workloads(max_requests=int(rounds * seconds * 6_000) * len(threads))
        near_url = os.environ["DATABASE_URL"]
        far_url = running.enter_context(delayed(near_url, milliseconds / 1000))
        servers: dict[tuple[int, str], Server] = {}
        for count in threads:
            for url in (near_url, far_url):
                os.environ["DATABASE_URL"] = url
                servers[count, url] = running.enter_context(server(workers=1, threads=count))
        rates: dict[tuple[str, int, str], list[float]] = {}
        for round_number in range(rounds + 1):  # the first warms up
            for name in WORKLOADS:
                for (count, url), each in servers.items():
                    figures = run(each, workloads[name].requests, seconds if round_number else 0.5, connections)
                    if round_number:
                        rates.setdefault((name, count, url), []).append(figures["rate"])
    print(f"\n{milliseconds} ms to PostgreSQL, one worker, {connections} connections")
    print(f"{'workload':<16}{'threads':>8}{'req/s without':>15}{'with':>8}{'ratio':>8}")
    ratios = []
    for name in WORKLOADS:
        for count in threads:
            without, with_delay = (median(rates[name, count, url]) for url in (near_url, far_url))
            ratios.append(with_delay / without)
            print(f"{name:<16}{count:>8}{without:>15.0f}{with_delay:>8.0f}{ratios[-1]:>8.2f}")
    return min(ratios) >= MIN_RATIO
