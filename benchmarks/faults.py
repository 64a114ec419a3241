"""Checks that no key is lost or handed out twice while workers or the database are killed repeatedly.

    python -m benchmarks.faults [--database postgresql|sqlite] [--kill workers|database] [--keys 2000] [--json FILE]

Each client repeats requests with unknown outcome under the same Idempotency-Key. At the end each key must be either in
the pool or with exactly one client. Exits with 1 if a check fails.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from benchmarks.clients import Client, Response, run_in_threads
from benchmarks.servers import Server, database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

# Figures that must be 0.
ERROR_FIGURES = ("twice", "lost", "unknown", "refused otherwise", "in pool and with a client")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--kill", choices=["workers", "database"], default="workers")
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, help="seconds between kills (default: 0.2; 3 for the database)")
    parser.add_argument("--seconds", type=float, default=60, help="the time in which they are killed")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.kill == "database" and options.database == "sqlite":
        parser.error("SQLite runs in the workers: use --kill workers")
    every = options.every or {"workers": 0.2, "database": 3}[options.kill]
    kill: Callable[[], bool | None] | None
    with database(options.database) as crash:
        from benchmarks.pools import DemoPool  # after django.setup()

        pool = DemoPool(options.keys)
        with server(options.workers) as running:
            kill = crash if options.kill == "database" else lambda: kill_worker(running)
            assert kill is not None  # PostgreSQL can be crashed
            row = empty_under_faults(pool, running.port, options.clients, kill, every, options.seconds)
    print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        json.dump({"database": options.database, "kill": options.kill, **row}, options.json, indent=2)
    sys.exit(1 if any(row[name] for name in ERROR_FIGURES) or not row["kills"] else 0)


def kill_worker(running: Server) -> bool:
    """Send SIGKILL to one worker of our own server, which starts another one. Returns whether there was a worker."""
    workers = running.workers()
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
    return bool(workers)


def empty_under_faults(
    pool: "DemoPool", port: int, clients: int, kill: Callable[[], bool | None], every: float, seconds: float
) -> dict[str, Any]:
    """Empty a pool by concurrent clients while something is killed repeatedly; returns the figures.

    Args:
        kill: kills it; returns False if it did not.
        every: seconds between kills.
        seconds: the time in which it is killed.
    """
    over, deadline = Event(), monotonic() + seconds
    kills: list[float] = []

    def kill_repeatedly() -> None:
        while not over.wait(every) and monotonic() < deadline:
            if kill() is not False:
                kills.append(monotonic())

    def work() -> list[Response]:
        client = Client(port, pool.token)
        responses: list[Response] = []
        while not responses or responses[-1].status == 200:
            responses.append(client.send_until_done(*pool.pop_request))
        return responses

    thread = Thread(target=kill_repeatedly)
    thread.start()
    try:
        responses = [response for responses in run_in_threads([work] * clients) for response in responses]
    finally:
        over.set()
        thread.join()
    from django.db import connection

    connection.close()  # the database may have been restarted
    handed_out = Counter(response.key for response in responses if response.status == 200)
    left, popped, ledger = pool.counts()
    return {
        "keys": pool.size,
        "kills": len(kills),
        "handed out": len(handed_out),
        "left": left,
        "twice": sum(count - 1 for count in handed_out.values()),
        "in pool and with a client": len(handed_out.keys() & pool.available()),
        "lost": pool.size - left - len(handed_out),
        "unknown": popped - len(handed_out),
        "ledger": ledger,
        "repeated requests": sum(response.tries > 1 for response in responses),
        "most tries": max(response.tries for response in responses),
        "refused otherwise": sum(r.detail != "pool is empty" for r in responses if r.status != 200),
    }


if __name__ == "__main__":
    main()
