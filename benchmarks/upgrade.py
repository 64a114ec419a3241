"""What does an upgrade of a large table do to those who pop from it meanwhile?

    python -m benchmarks.upgrade [--keys 1000000] [--clients 4] [--json FILE]

PostgreSQL with a pool of so many keys, some of them popped. An index is made on the table of keys while clients pop:
as a migration of ours makes it (`keygen_site.db.migration_operations`), with a transaction open that is older than
it and lasts longer than LOCK_TIMEOUT; then, to compare, as Django makes one by itself. Printed are how long it took,
the pops meanwhile and the longest of them; and how long a scrape of /metrics counts. Ends with 1 if a pop was refused
while the index was made as ours are, or waited for longer than half a second.
"""

import argparse
import json
import sys
import time
from contextlib import contextmanager
from threading import Event, Thread

from benchmarks.servers import database

MOST = 0.5  # seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database("postgresql"):
        from django.db import migrations, models  # Django is set up now

        from benchmarks.pools import DemoPool
        from keygen_site.db.migration_operations import AddIndexOnline
        from pools.metrics import count_available

        pool = DemoPool(1)
        fill(pool, options.keys)
        began = time.monotonic()
        count_available()
        counted = time.monotonic() - began
        print(f"keys: {options.keys}  a scrape counts for: {counted * 1000:.0f} ms", flush=True)
        index = models.Index(fields=["policy", "created"], name="pools_key_of_the_benchmark")
        rows = []
        for operation in (AddIndexOnline("key", index), migrations.AddIndex("key", index)):
            with older_transaction(seconds=4) if not rows else popping(pool, 0):
                rows.append(measure(pool, operation, options.clients))
            print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        json.dump(rows, options.json, indent=2)
    ours = rows[0]
    sys.exit(1 if ours["refused"] or ours["longest pop"] > MOST or not ours["pops meanwhile"] else 0)


def fill(pool, size):
    """Put keys into a pool, as fast as the database can, and pop a tenth of them."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO pools_key (id, created, updated, account_id, policy_id, key, digest, popped)
            SELECT uuidv7(), now(), now(), %s, %s, text, sha256(text::bytea), CASE WHEN n %% 10 = 0 THEN now() END
            FROM generate_series(1, %s) AS n, LATERAL (SELECT 'UPGRADE-' || n) AS made (text)
            """,
            [pool.account.pk, pool.policy.pk, size],
        )
        cursor.execute("VACUUM ANALYZE pools_key")


def measure(pool, operation, clients):
    """Run an operation of a migration while so many clients pop, and undo it; its figures."""
    from django.db import connection
    from django.db.migrations.state import ProjectState

    from pools.models import Key

    before = ProjectState.from_apps(Key._meta.apps)
    after = before.clone()
    operation.state_forwards("pools", after)
    with popping(pool, clients) as pops:
        time.sleep(1)
        began = time.monotonic()
        with connection.schema_editor(atomic=operation.atomic is not False) as editor:
            operation.database_forwards("pools", editor, before, after)
        ended = time.monotonic()
    with connection.schema_editor(atomic=operation.atomic is not False) as editor:
        operation.database_backwards("pools", editor, after, before)
    meanwhile = [pop for pop in pops if pop[1] > began and pop[0] < ended]
    return {
        "operation": type(operation).__name__,
        "seconds": round(ended - began, 2),
        "pops meanwhile": len(meanwhile),
        "longest pop": round(max((end - begin for begin, end, _ in meanwhile), default=0.0), 3),
        "refused": sum(error is not None for *_, error in meanwhile),
    }


@contextmanager
def popping(pool, clients):
    """So many threads pop all the time: a list of `(began, ended, error or None)`."""
    from django.db import Error, connection

    from accounts.audit import AuditContext
    from licensing.models import Policy

    over, pops = Event(), []

    def work():
        policy, audit = Policy.objects.get(pk=pool.policy.pk), AuditContext(operator="benchmark")
        while not over.is_set():
            began, failed = time.monotonic(), None
            try:
                policy.pool.pop(audit)
            except Error as error:
                failed = error
            pops.append((began, time.monotonic(), failed))
        connection.close()

    threads = [Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield pops
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def older_transaction(seconds):
    """A transaction that has written and stays open for so long."""
    from django.db import connection, transaction

    from accounts.models import Account

    begun = Event()

    def work():
        with transaction.atomic():
            Account.objects.update(name="older")
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE pools_key IN ROW EXCLUSIVE MODE")  # as any that writes a key
            begun.set()
            time.sleep(seconds)
        connection.close()

    thread = Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        thread.join()


if __name__ == "__main__":
    main()
