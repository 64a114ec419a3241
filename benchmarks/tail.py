"""Measures how long the slowest pops take at half load, while a large import runs.

    python -m benchmarks.tail [--database postgresql|sqlite] [--keys 1000000] [--workers 2] [--json FILE]

Clients first pop as fast as the server answers, which gives its capacity, and then at half of that rate: alone, and
while another account imports a file of `--keys` keys, by `import_keys` and by the API. A bare view with one query, at
the same rate, shows the pauses of the machine itself. PostgreSQL runs with autovacuum, and
recycles the files of its write-ahead log, as after some time in production. A time counts from when a request was due.
Prints the median and the 99th percentile. Exits with 1 if a 99th percentile of the pops exceeds four times its median,
or if a pop was refused.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from benchmarks.imports import load_by_api, write_keys
from benchmarks.load import run
from benchmarks.servers import ROOT, Server, database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

CONNECTIONS, CAPACITY_SECONDS, SECONDS = 16, 8, 20
MAX_RATIO = 4.0
FILES = 64  # of 16 MiB each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--keys", type=int, default=1_000_000, help="of the import")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tail-") as folder, database(options.database):
        rows = measure(options, Path(folder))
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(0 if all(row["ratio"] <= MAX_RATIO and not row["refused"] for row in rows) else 1)


def measure(options: Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure the pops alone and during imports; returns the figures of each."""
    from benchmarks.pools import DemoPool  # after django.setup()

    if options.database == "postgresql":
        fill_write_ahead_log()
    pool = DemoPool(int(2_000 * (CAPACITY_SECONDS + 3 * SECONDS)))
    files = [folder / f"{number}.txt" for number in range(2)]
    for file in files:
        write_keys(file, options.keys)
    method, path = pool.pop_request
    requests = [[method, path, {"Authorization": f"Bearer {pool.token}"}, ""]]
    rows = []
    with server(options.workers) as running:
        run(running, requests, 1, CONNECTIONS)  # warms up
        capacity = run(running, requests, CAPACITY_SECONDS, CONNECTIONS)["rate"]
        print(f"{options.database}: {capacity:.0f} pops a second at most, {capacity / 2:.0f} from now on")
        print(f"{'':<24}{'pops/s':>8}{'median ms':>11}{'p99 ms':>8}{'ratio':>7}{'refused':>9}", flush=True)
        with server(options.workers, module="benchmarks.baseline_wsgi") as baseline:
            select = [["GET", "/select", {}, ""]]
            run(baseline, select, 1, CONNECTIONS)  # warms up
            print_figures("bare view", run(baseline, select, SECONDS, CONNECTIONS, rate=capacity / 2))
        for what, importing in (
            ("alone", None),
            ("during import_keys", lambda: import_by_command(DemoPool(0), files[0])),
            ("during an API import", lambda: import_by_api(running, DemoPool(0), files[1])),
        ):
            with importing() if importing else nothing() as has_ended:
                figures = run(running, requests, SECONDS, CONNECTIONS, rate=capacity / 2)
                assert not has_ended(), "the import ended before the measurement: give it more --keys"
            rows.append({"what": what, **figures, "ratio": ratio_of(figures), "refused": figures["other"]})
            print_figures(what, figures, MAX_RATIO)
    return rows


def fill_write_ahead_log() -> None:
    """Create the files of the write-ahead log, so that PostgreSQL recycles them during the measurement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET min_wal_size = '1GB'")  # as docs/operations.md recommends
        cursor.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
        cursor.execute("SELECT pg_reload_conf()")
        for _ in range(FILES):
            cursor.execute("SELECT pg_logical_emit_message(false, '', '')")
            cursor.execute("SELECT pg_switch_wal()")
        cursor.execute("CHECKPOINT")


def ratio_of(figures: dict[str, Any]) -> float:
    return round(figures["p99"] / figures["p50"], 2)


def print_figures(what: str, figures: dict[str, Any], most: float = math.inf) -> None:
    ratio = ratio_of(figures)
    print(
        f"{what:<24}{figures['rate']:>8.0f}{figures['p50']:>11.1f}{figures['p99']:>8.1f}{ratio:>7.2f}"
        f"{figures['other']:>9}{'   MISSED' if ratio > most else ''}",
        flush=True,
    )


@contextmanager
def nothing() -> Iterator[Callable[[], bool]]:
    yield lambda: False


@contextmanager
def import_by_command(pool: "DemoPool", file: Path) -> Iterator[Callable[[], bool]]:
    """Run `import_keys` during the context, and end it then; yields whether it has ended."""
    command = [sys.executable, "manage.py", "import_keys", str(file), "--policy", str(pool.policy.pk), "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield lambda: process.poll() is not None
    finally:
        process.kill()
        process.wait()


@contextmanager
def import_by_api(running: Server, pool: "DemoPool", file: Path) -> Iterator[Callable[[], bool]]:
    """Import a file by the API during the context; yields whether it has ended."""

    def load() -> None:
        with suppress(HTTPException, OSError):  # the server stops before the import is done
            load_by_api(running, pool, file)

    thread = Thread(target=load, daemon=True)
    thread.start()
    yield lambda: not thread.is_alive()


if __name__ == "__main__":
    main()
