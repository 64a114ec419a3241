"""Measures whether requests get slower with the size of the tables of keys, licenses and ledger entries.

    python -m benchmarks.scale [--database postgresql|sqlite] [--keys 10000000] [--small 100000] [--json FILE]

One account: an oldest product with 1,000 keys, a product with a large pool, and another one that imports a tenth as
many keys before the large import and again after it; a tenth as many customers, each with a license and a machine; and
as many ledger entries as keys. Measures lists of the API from the first page to the last, with filters and with page
numbers, a single key, pops, and the pages of the console, in turn; with `--small` keys, and after the large imports.
Prints the medians and the ratios. Exits with 1 if one exceeds its bound. SQLite (`--keys 1000000`) has bounds for the
pages of the console only.
"""

import argparse
import json
import sys
import tempfile
import time
from argparse import Namespace
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from benchmarks.imports import load_by_command, make_row, print_rows, write_keys
from benchmarks.servers import Server, database, server

ROUNDS, CONSOLE_ROUNDS, WARM_UP_ROUNDS, POPS = 30, 7, 3, 10_000
KEYS_OF_OLDEST_PRODUCT = 1_000
# The maximum time of a page further down, relative to that of the first page.
MAX_RATIO_TO_FIRST_PAGE = {"cursor at 10 %": 1.2, "cursor at 50 %": 1.2, "cursor at 99 %": 1.2}
MAX_CONSOLE_MILLISECONDS = {"postgresql": 300, "sqlite": 500}
MAX_MEMORY_RATIO, MAX_MEMORY_MIB, MAX_GROWTH = 1.05, 120, 1.5
KEYS_PER_CUSTOMER = 10
# What takes longer with more rows, because all are read: an exact count, and a filter that hardly any row passes.
UNBOUNDED = (
    "page 2, numbered (counts)",
    "licenses: with five machines or more",
    "licenses: with metadata",
    "users: with metadata",
    "users: of a product",
)
MIN_GROWTH_MS = 5  # less is noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=list(MAX_CONSOLE_MILLISECONDS), default="postgresql")
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, database(options.database):
        figures = measure(options, Path(folder))
    if options.json:
        json.dump(figures, options.json, indent=2)
    sys.exit(0 if all(figure["ok"] for figure in figures) else 1)


def measure(options: Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure with few keys and with many; returns rows made by `make_row()`."""
    from django.db import connection

    from benchmarks.pools import DemoPool
    from benchmarks.scale_rows import Customers, add_ledger

    first = DemoPool(KEYS_OF_OLDEST_PRODUCT)
    large, other = (make_pool(first, name) for name in ("Large", "Other"))
    pools = SimpleNamespace(old=first, large=large, other=other)
    file = folder / "keys.txt"
    tenth = options.keys // 10

    def load(pool: Any, count: int) -> dict[str, Any]:
        write_keys(file, count)
        report = load_by_command(pool, file)
        rate = count / report["seconds"]
        print(f"imported {count:,} keys, {rate:,.0f} a second, {report['memory']:.1f} MiB", flush=True)
        return report | {"rate": rate}

    customers = Customers(make_policy(first))

    def grow_to(count: int, entries: int) -> None:
        """Add customers for a number of keys, and entries of the ledger; refresh the statistics as autovacuum does."""
        began = time.monotonic()
        customers.grow_to(count // KEYS_PER_CUSTOMER)
        add_ledger(first.account, large.policy, entries)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE")
        print(f"{customers.count:,} customers, {entries:,} ledger entries more: {time.monotonic() - began:.0f} s")

    with server() as running:
        load(large, options.small)
        grow_to(options.small, options.small)
        small = measure_requests(running, pools)
        before = load(other, tenth)
        most = load(large, options.keys)
        after = load(other, tenth)
        grow_to(options.keys, options.keys - options.small)
        grown = measure_requests(running, pools)
    rows = []
    print(f"\n{'median, ms':<34}{options.small:>12,}{options.keys + 2 * tenth:>14,} keys")
    for what, taken in grown.items():
        print(f"{what:<34}{small[what]:>12.2f}{taken:>14.2f}", flush=True)
    rows += [
        make_row(f"{what}, ms", taken, most=MAX_CONSOLE_MILLISECONDS[options.database])
        for what, taken in grown.items()
        if what.startswith("console")
    ]
    if options.database == "sqlite":
        print_rows(rows)
        return rows
    page = grown["first page"]
    rows += [
        make_row(f"{what}: to the first page", grown[what] / page, most=bound)
        for what, bound in MAX_RATIO_TO_FIRST_PAGE.items()
    ]
    for what, taken in grown.items():
        if what not in UNBOUNDED:
            noise = MIN_GROWTH_MS if what != "pop" else 0
            ratio = max(taken - noise, 0) / small[what]
            rows.append(make_row(f"{what}: to that of the small tables", ratio, most=MAX_GROWTH))
    growth = before["rate"] / after["rate"]
    rows.append(make_row("import into the large table: time to that before", growth, most=MAX_GROWTH))
    growth = most["memory"] / before["memory"]
    rows.append(make_row("memory of the large import to that of a tenth", growth, most=MAX_MEMORY_RATIO))
    rows.append(make_row("peak memory, MiB", most["memory"], most=MAX_MEMORY_MIB))
    print_rows(rows)
    return rows


def make_policy(pool: Any) -> Any:
    """Create a policy without a pool in the account of a pool."""
    from licensing.models import Policy

    policy = Policy(account=pool.account, product=pool.policy.product, name="Licenses")
    policy.validate_and_save()
    return policy


def make_pool(pool: Any, name: str) -> SimpleNamespace:
    """Create an empty pool of another product in the account of a pool."""
    from licensing.models import Policy, Product

    product = Product(account=pool.account, name=name)
    product.validate_and_save()
    policy = Policy(account=pool.account, product=product, name=name, use_pool=True)
    policy.validate_and_save()
    return SimpleNamespace(policy=policy)


def measure_requests(running: Server, pools: SimpleNamespace) -> dict[str, float]:
    """The median time in milliseconds of each request, sent in turn, and of a pop."""
    requests = build_requests(pools)
    connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
    taken: dict[str, list[float]] = {what: [] for what in requests}
    for number in range(ROUNDS + WARM_UP_ROUNDS):
        for what, (path, headers) in requests.items():
            if what.startswith("console") and number >= CONSOLE_ROUNDS + WARM_UP_ROUNDS:
                continue
            began = time.monotonic()
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
            if number >= WARM_UP_ROUNDS:
                taken[what].append((time.monotonic() - began) * 1000)
    return {what: median(times) for what, times in taken.items()} | {"pop": measure_pop(pools.large.policy)}


def build_requests(pools: SimpleNamespace) -> dict[str, tuple[str, dict[str, str]]]:
    """The path and the headers of each request by name."""
    from benchmarks.console_pages import console_pages
    from benchmarks.scale_requests import api_requests, row_at
    from pools.models import Key

    available = Key.objects.filter(account=pools.old.account).available().order_by("id")
    return api_requests(pools) | console_pages(pools.old.account, pools.large.policy, row_at(available, 0.5))


def measure_pop(policy: Any) -> float:
    """The median time of a pop without HTTP, in milliseconds."""
    from accounts.audit import AuditContext

    audit = AuditContext(operator="benchmark")
    taken: list[float] = []
    for _ in range(POPS):
        began = time.monotonic()
        policy.pool.pop(audit)
        taken.append((time.monotonic() - began) * 1000)
    return median(taken)


if __name__ == "__main__":
    main()
