"""Does popping stay fast while a large pool drains?

    python -m benchmarks.drain [--keys 500000] [--processes 4] [--plain] [--json FILE]

PostgreSQL with autovacuum off, which is as bad as it gets: every popped key leaves a dead entry in the index that the
next claim begins with. Drained twice, the second time with another session's old snapshot open, as a dump or a long
report has it; printed are the pops per second of each tenth, and the last tenth to the first. `--plain` takes the start
hint away (`pools.popping`) to show what it is for. No HTTP: the claim itself, with the ledger.
"""

import argparse
import json
import multiprocessing
import sys
import time

from benchmarks.servers import database

WINDOWS = 10


def main():
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
    sys.exit(0 if all(row["last to first"] >= 0.85 for row in rows) else 1)


def drain(options, old_snapshot):
    """Empty a new pool by some processes; the rate of each tenth."""
    from django.db import connection

    from benchmarks.pools import DemoPool

    pool = DemoPool(options.keys)
    snapshot = open_snapshot() if old_snapshot else None
    connection.close()  # before the fork: each process has one of its own
    popped = multiprocessing.Value("i", 0)
    share = options.keys // options.processes
    work = (pool.policy.pk, share, popped, options.plain)
    processes = [multiprocessing.Process(target=pop, args=work) for _ in range(options.processes)]
    moments = [time.monotonic()]
    for process in processes:
        process.start()
    while len(moments) <= WINDOWS and any(process.is_alive() for process in processes):
        if popped.value >= len(moments) * options.keys // WINDOWS - options.processes:
            moments.append(time.monotonic())
        time.sleep(0.005)
    for process in processes:
        process.join()
    if snapshot:
        snapshot.close()
    rates = [options.keys / WINDOWS / (after - before) for before, after in zip(moments, moments[1:], strict=False)]
    row = {
        "old snapshot": old_snapshot,
        "hint": not options.plain,
        "pops/s": [round(rate) for rate in rates],
        "last to first": round(rates[-1] / rates[0], 2),
    }
    print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    return row


def open_snapshot():
    """A session that has begun to read and does not end."""
    from django.db import connection

    session = connection.copy()
    session.set_autocommit(False)
    with session.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM accounts_account")
    return session


def pop(policy_id, share, popped, plain):
    """Pop so many keys, as one process of the server does."""
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
