"""Checks that no key is lost or handed out twice when the database dies and its replica takes over.

    python -m benchmarks.failover [--rounds 3] [--keys 3000] [--clients 16] [--json FILE]

The primary commits synchronously: it waits for its replica. In each round its replication is stopped for a second, all
its processes are killed, and the replica is promoted. The server finds the new primary by its DATABASE_URL, which names
both; clients repeat requests with unknown outcome under the same Idempotency-Key. At the end each key must be either in
the pool or with exactly one client. The negative control is a primary that does not wait for its replica: it loses pops
whose responses were sent, which the check must detect. Exits with 1 if a check fails.
"""

import argparse
import json
import os
import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from benchmarks.faults import ERROR_FIGURES, empty_under_faults
from benchmarks.replicas import replicated_postgresql
from benchmarks.servers import migrate, server
from benchmarks.testbed.postgresql import ENVIRONMENT

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

POPPED_SHARE = 1 / 4  # of the pool, before the primary dies
SECONDS_BEHIND = 1  # without replication, before the primary dies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=3_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    rows = run(options, options.rounds, synchronous=True)
    (control,) = run(options, 1, synchronous=False)
    honest = all(row["kills"] and not any(row[name] for name in ERROR_FIGURES) for row in rows)
    is_detected = bool(control["kills"] and any(control[name] for name in ERROR_FIGURES))
    print(f"no key lost or handed out twice: {honest}; asynchronous primary detected: {is_detected}")
    if options.json:
        json.dump([*rows, control], options.json, indent=2)
    sys.exit(0 if honest and is_detected else 1)


def run(options: Namespace, rounds: int, synchronous: bool) -> list[dict[str, Any]]:
    """Run a number of failovers of one pair of servers; returns the figures of each."""
    with replicated_postgresql(synchronous) as replicated:
        os.environ["DATABASE_URL"] = replicated.url
        point_at(replicated.url)
        migrate()
        from benchmarks.pools import DemoPool  # after django.setup()

        rows = []
        with server(options.workers) as running:
            for _ in range(rounds):
                replicated.run("follow")
                pool = DemoPool(options.keys)
                took: list[float] = []

                def fail_over(pool: DemoPool = pool, took: list[float] = took) -> bool:
                    if took or not is_under_way(pool):
                        return False
                    replicated.run("fall_behind")
                    time.sleep(SECONDS_BEHIND)
                    replicated.run("die")
                    began = time.monotonic()
                    replicated.run("promote")
                    took.append(time.monotonic() - began)
                    return True

                figures = empty_under_faults(pool, running.port, options.clients, fail_over, 0.2, 60)
                rows.append({"synchronous": synchronous, **figures, "promoted in": round(took[0], 2)})
                print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def is_under_way(pool: "DemoPool") -> bool:
    """Whether clients have popped POPPED_SHARE of the keys."""
    from django.db import connection

    _, popped, _ = pool.counts()
    connection.close()  # of this thread
    return popped >= pool.size * POPPED_SHARE


def point_at(url: str) -> None:
    """Make this process use another database, if Django is set up already."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import dj_database_url
        from django.db import connection

        connection.close()
        connection.settings_dict["HOST"] = dj_database_url.parse(url)["HOST"]


if __name__ == "__main__":
    main()
