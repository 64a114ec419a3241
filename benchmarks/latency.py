"""Compares a distant database with a near one: `python -m benchmarks --latency 1`, in milliseconds.

Two servers of one worker run on one PostgreSQL, one of them through a proxy that delays each round trip.
"""

import os
from statistics import median

from benchmarks.load import run
from benchmarks.servers import database, server
from benchmarks.testbed.delay import delayed

WORKLOADS = ("get", "validate-key", "pop", "idempotent pop", "issue")
MIN_RATIO = 0.6


def compare(milliseconds: float, rounds: int, seconds: float, connections: int, threads: int | None) -> bool:
    """Print the rates of both servers; whether each is at least MIN_RATIO of the rate without the delay.

    Args:
        threads: of the worker; None for the shipped setting.
    """
    with database("postgresql"):
        from django.conf import settings

        from benchmarks.workloads import build_workloads  # after django.setup()

        threads = threads or settings.THREADS
        workloads = build_workloads(max_requests=int(rounds * seconds * 6_000))
        near_url = os.environ["DATABASE_URL"]
        with server(workers=1, threads=threads) as near, delayed(near_url, milliseconds / 1000) as far_url:
            os.environ["DATABASE_URL"] = far_url
            with server(workers=1, threads=threads) as far:
                rates: dict[str, list[list[float]]] = {name: [[], []] for name in WORKLOADS}
                for name in WORKLOADS:  # warm up
                    for running in (near, far):
                        run(running, workloads[name].requests, 0.5, connections)
                for _ in range(rounds):
                    for name in WORKLOADS:
                        for index, running in enumerate((near, far)):
                            figures = run(running, workloads[name].requests, seconds, connections)
                            rates[name][index].append(figures["rate"])
    print(f"\n{milliseconds} ms to PostgreSQL, one worker with {threads} threads, {connections} connections")
    print(f"{'workload':<16}{'req/s without':>15}{'with':>8}{'ratio':>8}")
    ratios = []
    for name, (without, with_delay) in rates.items():
        ratios.append(median(with_delay) / median(without))
        print(f"{name:<16}{median(without):>15.0f}{median(with_delay):>8.0f}{ratios[-1]:>8.2f}")
    return min(ratios) >= MIN_RATIO
