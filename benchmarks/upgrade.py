"""Measures the effect of an index that is added to a large table on concurrent pops.

    python -m benchmarks.upgrade [--keys 1000000] [--clients 4] [--json FILE]

PostgreSQL with a large pool, some of its keys popped. An index is added to the table of keys while clients pop: first
by `keygen_site.db.migration_operations`, while an older transaction stays open for longer than LOCK_TIMEOUT; then, for
comparison, by Django's own operation. Prints the time, the pops meanwhile and the longest of them, and the time of the
count for a scrape of /metrics. Exits with 1 if, with our operation, a pop was refused or took longer than half a
second.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

from benchmarks.servers import database

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

MAX_POP_SECONDS = 0.5
Pop = tuple[float, float, Exception | None]  # began, ended, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database("postgresql"):
        from django.db import migrations, models  # after django.setup()

        from benchmarks.pools import DemoPool
        from keygen_site.db.migration_operations import AddIndexOnline
        from pools.metrics import count_available

        pool = DemoPool(1)
        fill(pool, options.keys)
        began = time.monotonic()
        count_available()
        counted = time.monotonic() - began
        print(f"keys: {options.keys}  count for a scrape: {counted * 1000:.0f} ms", flush=True)
        index = models.Index(fields=["policy", "created"], name="pools_key_of_the_benchmark")
        rows: list[dict[str, Any]] = []
        for operation in (AddIndexOnline("key", index), migrations.AddIndex("key", index)):
            with older_transaction(seconds=4) if not rows else nullcontext():
                rows.append(measure(pool, operation, options.clients))
            print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    if options.json:
        json.dump(rows, options.json, indent=2)
    ours = rows[0]
    sys.exit(1 if ours["refused"] or ours["longest pop"] > MAX_POP_SECONDS or not ours["pops meanwhile"] else 0)


def fill(pool: "DemoPool", size: int) -> None:
    """Insert keys into a pool by a single statement, a tenth of them popped."""
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


def measure(pool: "DemoPool", operation: Any, clients: int) -> dict[str, Any]:
    """Run a migration operation while clients pop, and reverse it; returns the figures."""
    from django.db import connection
    from django.db.migrations.state import ProjectState

    from pools.models import Key

    before = ProjectState.from_apps(Key._meta.apps)
    after = before.clone()
    operation.state_forwards("pools", after)
    with pop_concurrently(pool, clients) as pops:
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
def pop_concurrently(pool: "DemoPool", clients: int) -> Iterator[list[Pop]]:
    """Pop in several threads until the context ends. Yields the list of pops."""
    from django.db import Error, connection

    from accounts.audit import AuditContext
    from licensing.models import Policy

    over = Event()
    pops: list[Pop] = []

    def work() -> None:
        policy, audit = Policy.objects.get(pk=pool.policy.pk), AuditContext(operator="benchmark")
        while not over.is_set():
            began = time.monotonic()
            failure: Exception | None = None
            try:
                cast(Any, policy).pool.pop(audit)
            except Error as error:
                failure = error
            pops.append((began, time.monotonic(), failure))
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
def older_transaction(seconds: float) -> Iterator[None]:
    """Keep a transaction that has written open for some seconds, in another thread."""
    from django.db import connection, transaction

    from accounts.models import Account

    begun = Event()

    def work() -> None:
        with transaction.atomic():
            Account.objects.update(name="older")
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE pools_key IN ROW EXCLUSIVE MODE")  # as a transaction that writes a key
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
