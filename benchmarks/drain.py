"""Measures whether pops stay fast while a large pool drains.

    python -m benchmarks.drain [--keys 500000] [--processes 4] [--plain] [--json FILE]

The worst case: PostgreSQL with autovacuum off, where every popped key leaves a dead entry in the index that the next
pop scans. Drains a pool twice, the second time with an old snapshot open in another session, as of a dump or a long
report. Prints the pops per second of each tenth of the keys, and the ratio of the last tenth to the first. `--plain`
switches the start hint of `pools.popping` off, to show its effect. Without HTTP: only the pop and its ledger entry.
"""

import argparse
import json
import multiprocessing
import sys
import time
from argparse import Namespace
from multiprocessing.sharedctypes import Synchronized
from typing import Any
from uuid import UUID

from benchmarks.servers import database

WINDOWS = 10
MIN_LAST_TO_FIRST = 0.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=500_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--plain", action="store_true", help="without the start hint")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database("postgresql"):
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET autovacuum = off")
            cursor.execute("SELECT pg_reload_conf()")
        rows = [drain(options, old_snapshot) for old_snapshot in (False, True)]
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(0 if all(row["last to first"] >= MIN_LAST_TO_FIRST for row in rows) else 1)


def drain(options: Namespace, old_snapshot: bool) -> dict[str, Any]:
    """Pop all keys of a new pool in several processes; returns the rate of each tenth."""
    from django.db import connection

    from benchmarks.pools import DemoPool

    pool = DemoPool(options.keys)
    snapshot = open_snapshot() if old_snapshot else None
    connection.close()  # before the fork: each process opens its own
    popped: Any = multiprocessing.Value("i", 0)
    share = options.keys // options.processes
    work = (pool.policy.pk, share, popped, options.plain)
    processes = [multiprocessing.Process(target=pop, args=work) for _ in range(options.processes)]
    times = [time.monotonic()]
    for process in processes:
        process.start()
    while len(times) <= WINDOWS and any(process.is_alive() for process in processes):
        if popped.value >= len(times) * options.keys // WINDOWS - options.processes:
            times.append(time.monotonic())
        time.sleep(0.005)
    for process in processes:
        process.join()
    if snapshot:
        snapshot.close()
    rates = [options.keys / WINDOWS / (after - before) for before, after in zip(times, times[1:], strict=False)]
    row = {
        "old snapshot": old_snapshot,
        "hint": not options.plain,
        "pops/s": [round(rate) for rate in rates],
        "last to first": round(rates[-1] / rates[0], 2),
    }
    print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    return row


def open_snapshot() -> Any:
    """A connection with an open transaction that has read, and so keeps an old snapshot."""
    from django.db import connection

    session = connection.copy()
    session.set_autocommit(False)
    with session.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM accounts_account")
    return session


def pop(policy_id: UUID, share: int, popped: "Synchronized[int]", plain: bool) -> None:
    """Pop a number of keys, as one process of the server does.

    Args:
        share: the number of keys.
        popped: counts the keys popped by all processes.
        plain: whether the start hint is off.
    """
    from accounts.audit import AuditContext
    from licensing.models import Policy
    from pools import popping

    if plain:
        popping.MIN_HINT_SECONDS = popping.HINT_SECONDS_PER_SCAN_SECOND = 0
    policy, audit = Policy.objects.get(pk=policy_id), AuditContext(operator="benchmark")
    for _ in range(share):
        policy.pool.pop(audit)
        with popped.get_lock():
            popped.value += 1


if __name__ == "__main__":
    main()
