"""Checks that no request fails after a restart of the database, of PgBouncer, or after a failover.

    python -m benchmarks.restarts [--fault database|pooler|failover] [--rounds 4] [--clients 8] [--json FILE]

Clients read, pop and create licenses, without retries, while PostgreSQL, PgBouncer or the primary of a replicated pair
is killed several times. In the first round, and every other one, the clients are busy. In the others they pause during
the fault, so that the server has only dead connections when they resume. A request may fail if it overlaps a fault. All
others must get a response with a status below 500: exits with 1 if one does not.
"""

import argparse
import json
import os
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from benchmarks.clients import Client, run_in_threads
from benchmarks.failover import point_at
from benchmarks.poolers import restartable_pgbouncer
from benchmarks.replicas import replicated_postgresql
from benchmarks.servers import database, migrate, server
from benchmarks.testbed.postgresql import ENVIRONMENT

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

SECONDS_BETWEEN = 2.0  # faults
KEYS = 20_000
BROKEN = 0  # instead of a status: the connection ended without an answer


class Outcome(NamedTuple):
    """The result of a request.

    Attributes:
        status: of the response, or `BROKEN`.
        began, ended: when the request was sent and when its response or error arrived, by `time.monotonic()`.
    """

    status: int
    began: float
    ended: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=["database", "pooler", "failover"], default="database")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with breakable_database(options.fault) as (prepare, kill):
        row = measure(options, prepare, kill)
    print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        json.dump({"fault": options.fault, **row}, options.json, indent=2)
    sys.exit(1 if row["failed while the database was there"] or not row["failed during a fault"] else 0)


@contextmanager
def breakable_database(fault: str) -> Iterator[tuple[Callable[[], Any], Callable[[], Any]]]:
    """Run a migrated database.

    Yields a function that prepares the next fault, and one that kills the database or the pooler in front of it and
    returns when it accepts connections again.
    """
    if fault == "failover":
        os.environ.update(ENVIRONMENT)
        with replicated_postgresql() as replicated:
            os.environ["DATABASE_URL"] = replicated.url
            point_at(replicated.url)
            migrate()

            def fail_over() -> None:
                replicated.run("die")
                replicated.run("promote")

            yield lambda: replicated.run("follow"), fail_over
    else:
        with database("postgresql") as crash:
            assert crash is not None  # it is PostgreSQL
            if fault == "database":
                yield lambda: None, crash
            else:
                with restartable_pgbouncer(os.environ["DATABASE_URL"], size=4) as (through, restart):
                    os.environ |= {"DATABASE_URL": through, "CONNECTION_POOLER": "true", "PREPARED_STATEMENTS": "false"}
                    yield lambda: None, restart


def measure(options: Namespace, prepare: Callable[[], Any], kill: Callable[[], Any]) -> dict[str, Any]:
    """Send requests while the database is killed; returns the figures."""
    from benchmarks.pools import DemoPool  # after django.setup()

    pool, may_send, over = DemoPool(KEYS), Event(), Event()
    faults: list[tuple[float, float]] = []

    def kill_repeatedly() -> None:
        try:
            for number in range(options.rounds):
                prepare()
                may_send.set()
                time.sleep(SECONDS_BETWEEN)
                if number % 2:
                    may_send.clear()
                    time.sleep(SECONDS_BETWEEN)  # until all requests are answered
                began = time.monotonic()
                kill()
                psycopg.connect(os.environ["DATABASE_URL"]).close()
                faults.append((began, time.monotonic()))
                may_send.set()
                time.sleep(SECONDS_BETWEEN)
        finally:
            over.set()
            may_send.set()

    with server(options.workers) as running:
        killer = Thread(target=kill_repeatedly)
        killer.start()
        work = [lambda: send_requests(Client(running.port, pool.token), pool, may_send, over)] * options.clients
        outcomes = [outcome for results in run_in_threads(work) for outcome in results]
        killer.join()
    return figures_of(outcomes, faults)


def send_requests(client: Client, pool: "DemoPool", may_send: Event, over: Event) -> list[Outcome]:
    """Send requests one after the other until `over` is set, pausing while `may_send` is not; returns the outcomes."""
    policy = ("GET", f"/v1/accounts/{pool.account.slug}/policies/{pool.policy.pk}")
    requests: list[tuple[Any, ...]] = [policy, pool.pop_request, pool.license_request]
    outcomes: list[Outcome] = []
    while may_send.wait() and not over.is_set():
        began = time.monotonic()
        try:
            status = client.send(*requests[len(outcomes) % len(requests)]).status
        except (OSError, HTTPException):
            status = BROKEN
        outcomes.append(Outcome(status, began, time.monotonic()))
    return outcomes


def figures_of(outcomes: list[Outcome], faults: list[tuple[float, float]]) -> dict[str, Any]:
    """Count the failed requests: those that overlap a fault, and the others.

    Args:
        faults: the start and end of each, by `time.monotonic()`.
    """
    failed: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for outcome in outcomes:
        if outcome.status == BROKEN or outcome.status >= 500:
            during = any(outcome.began <= end and start <= outcome.ended for start, end in faults)
            failed[during][outcome.status] += 1
    longest = max(end - start for start, end in faults)
    after = [sum(1 for outcome in outcomes if end < outcome.began < end + 1) for _, end in faults]
    return {
        "requests": len(outcomes),
        "faults": len(faults),
        "longest fault in seconds": round(longest, 2),
        "requests in the second after a fault, at least": min(after),
        "failed during a fault": failed[True].total(),
        "failed while the database was there": failed[False].total(),
        "their statuses": dict(failed[False]),
    }


if __name__ == "__main__":
    main()
