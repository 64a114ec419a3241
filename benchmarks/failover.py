"""Clients take keys from a server whose database dies and is replaced by its replica, again and again.

    python -m benchmarks.failover [--rounds 3] [--keys 3000] [--clients 16] [--json FILE]

The primary waits for its replica with each commit. In each round it sends the replica nothing more for a second, is
killed with all its processes, and the replica is promoted; the server finds it by its DATABASE_URL, which names both,
and clients repeat under the same Idempotency-Key what they do not know the outcome of. At the end each key is either
in the pool or in the hands of exactly one client. Then the same with a primary that does not wait, as a negative
control: it loses pops that were answered, and that has to be found out. Ends with 1 if anything is not so.
"""

import argparse
import json
import os
import sys
import time

from benchmarks.faults import torment
from benchmarks.replicas import replicated_postgresql
from benchmarks.servers import migrate, server
from benchmarks.testbed.postgresql import ENVIRONMENT

BEFORE = 4  # the share of the pool, as one in so many, that is popped before the primary dies
BEHIND = 1  # seconds in which the replica gets nothing
WRONG = ("twice", "lost", "unknown", "refused otherwise", "in pool and in hand")


def main():
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
    honest = all(row["kills"] and not any(row[name] for name in WRONG) for row in rows)
    found_out = bool(control["kills"] and any(control[name] for name in WRONG))
    print(f"nothing lost or twice: {honest}; the primary that does not wait was found out: {found_out}")
    if options.json:
        json.dump([*rows, control], options.json, indent=2)
    sys.exit(0 if honest and found_out else 1)


def run(options, rounds, synchronous):
    """So many failovers of one pair of servers; the figures of each."""
    with replicated_postgresql(synchronous) as pair:
        os.environ["DATABASE_URL"] = pair.url
        point_at(pair.url)
        migrate()
        from benchmarks.pools import DemoPool  # Django is set up now

        rows = []
        with server(options.workers) as running:
            for _ in range(rounds):
                pair.do("follow")
                pool, took = DemoPool(options.keys), []

                def fail_over(pool=pool, took=took):
                    if took or not is_under_way(pool):
                        return False  # once is enough
                    pair.do("fall_behind")
                    time.sleep(BEHIND)
                    pair.do("die")
                    began = time.monotonic()
                    pair.do("promote")
                    took.append(time.monotonic() - began)
                    return True

                figures = torment(pool, running.port, options.clients, fail_over, 0.2, 60)
                rows.append({"synchronous": synchronous, **figures, "promoted in": round(took[0], 2)})
                print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def is_under_way(pool):
    """Whether clients have popped a good deal."""
    from django.db import connection

    _, popped, _ = pool.counts()
    connection.close()  # the thread's own
    return popped >= pool.size // BEFORE


def point_at(url):
    """Have this process, if Django is set up already, ask another database from now on."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import dj_database_url
        from django.db import connection

        connection.close()
        connection.settings_dict["HOST"] = dj_database_url.parse(url)["HOST"]


if __name__ == "__main__":
    main()
