"""Clients take keys from a server whose processes, or whose database, are killed again and again.

    python -m benchmarks.faults [--database postgresql|sqlite] [--kill workers|database] [--keys 2000] [--json FILE]

Each client repeats what it does not know the outcome of, under the same Idempotency-Key. At the end each key is
either in the pool or in the hands of exactly one client; nothing is unknown. Ends with 1 if that is not so.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from threading import Event, Thread
from time import monotonic

from benchmarks.clients import Client, at_once
from benchmarks.servers import database, server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--kill", choices=["workers", "database"], default="workers")
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--every", type=float, help="seconds between kills (default: 0.2, of the database 3)")
    parser.add_argument("--seconds", type=float, default=60, help="how long they are killed")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.kill == "database" and options.database == "sqlite":
        parser.error("SQLite runs in the workers: kill those")
    every = options.every or {"workers": 0.2, "database": 3}[options.kill]
    with database(options.database) as crash:
        from benchmarks.pools import DemoPool  # Django is set up now

        pool = DemoPool(options.keys)
        with server(options.workers) as running:
            kill = crash if options.kill == "database" else lambda: kill_a_worker(running)
            row = torment(pool, running.port, options.clients, kill, every, options.seconds)
    print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        json.dump({"database": options.database, "kill": options.kill, **row}, options.json, indent=2)
    wrong = ("twice", "lost", "unknown", "refused otherwise", "in pool and in hand")
    sys.exit(1 if any(row[name] for name in wrong) or not row["kills"] else 0)


def kill_a_worker(running):
    """`kill -9` of one worker of our own server; the server starts another in its place."""
    workers = running.workers()
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
    return bool(workers)


def torment(pool, port, clients, kill, every, seconds):
    """Have clients empty a pool while something is killed for so many seconds; the figures of it."""
    over, kills, deadline = Event(), [], monotonic() + seconds

    def killer():
        while not over.wait(every) and monotonic() < deadline:
            if kill() is not False:
                kills.append(monotonic())

    def work():
        client, answers = Client(port, pool.token), []
        while not answers or answers[-1].status == 200:
            answers.append(client.insist(*pool.pop_request))
        return answers

    thread = Thread(target=killer)
    thread.start()
    try:
        answers = [answer for answers in at_once([work] * clients) for answer in answers]
    finally:
        over.set()
        thread.join()
    from django.db import connection

    connection.close()  # the database may have been killed under it
    handed = Counter(answer.key for answer in answers if answer.status == 200)
    left, popped, ledger = pool.counts()
    return {
        "keys": pool.size,
        "kills": len(kills),
        "handed out": len(handed),
        "left": left,
        "twice": sum(count - 1 for count in handed.values()),
        "in pool and in hand": len(handed.keys() & pool.available()),
        "lost": pool.size - left - len(handed),
        "unknown": popped - len(handed),
        "ledger": ledger,
        "repeated requests": sum(answer.tries > 1 for answer in answers),
        "most tries": max(answer.tries for answer in answers),
        "refused otherwise": sum(answer.detail != "pool is empty" for answer in answers if answer.status != 200),
    }


if __name__ == "__main__":
    main()
