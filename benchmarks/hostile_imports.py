"""Whether imports of one tenant slow down the requests of others.

    python -m benchmarks.hostile_imports [--database postgresql|sqlite] [--lines 1000000] [--seconds 20] [--json FILE]

Each of two accounts sends two files at the same time, as `dry-run&skip-invalid`: a small gzip file of millions of equal
lines, and a file of distinct lines. Meanwhile other clients request /healthz, and pop from the pool of another account.
Exits with 1 if the 99th percentile of either is more than twice its value without imports.
"""

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from statistics import median, quantiles
from threading import Event
from typing import TYPE_CHECKING, Any

from benchmarks.clients import Client, run_in_threads
from benchmarks.servers import database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

MAX_RATIO = 2.0
REQUESTS_PER_SECOND = 20
MAX_SECONDS = 300  # in which the imports must end
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--lines", type=int, default=1_000_000, help="of the file with distinct lines")
    parser.add_argument("--seconds", type=float, default=20, help="without imports, before and after")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database(options.database):
        from benchmarks.pools import DemoPool  # after django.setup()

        victim = DemoPool(int((MAX_SECONDS + 2 * options.seconds) * REQUESTS_PER_SECOND))
        attackers = [DemoPool(0), DemoPool(0)]
        files = [
            gzip.compress(b"KEY-0001-AAAA-BBBB-CCCC\n" * 5_000_000),
            gzip.compress(
                "".join(f"KEY-{number:08}-{number * 7919 % 10**8:08}\n" for number in range(options.lines)).encode()
            ),
        ]
        with server(options.workers) as running:
            row = compare(running.port, victim, attackers, files, options.seconds)
    sizes = ", ".join(f"{len(file) >> 10} KiB" for file in files)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; files of {sizes}")
    print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        json.dump({"database": options.database, **row}, options.json, indent=2)
    sys.exit(1 if max(row["healthz ratio"], row["pop ratio"]) > MAX_RATIO else 0)


def compare(
    port: int, victim: "DemoPool", attackers: list["DemoPool"], files: list[bytes], seconds: float
) -> dict[str, Any]:
    """The 99th percentiles in milliseconds with and without imports, and their ratios."""

    def wait() -> None:
        time.sleep(seconds)

    measure(port, victim, lambda: time.sleep(2))  # warms up
    before = measure(port, victim, wait)
    statuses: list[int] = []
    began = time.monotonic()
    during = measure(port, victim, lambda: statuses.extend(attack(port, attackers, files)))
    ended = time.monotonic()
    after = measure(port, victim, wait)
    row: dict[str, Any] = {"attack seconds": round(ended - began, 1), "statuses": statuses}
    for name in ("healthz", "pop"):
        quiet = (before[name] + after[name]) / 2
        row[f"{name} quiet"], row[f"{name} attacked"] = round(quiet, 1), round(during[name], 1)
        row[f"{name} median"] = round(during[f"{name} median"], 1)
        row[f"{name} ratio"] = round(during[name] / quiet, 2)
    return row


def measure(port: int, victim: "DemoPool", act: Callable[[], None]) -> Figures:
    """The 99th percentiles and medians of requests, in milliseconds, while `act` runs."""
    stopped = Event()

    def run() -> list[float]:
        try:
            act()
        finally:
            stopped.set()
        return []

    requests = {"healthz": ("GET", "/healthz"), "pop": victim.pop_request}
    _, *times = run_in_threads([run, *(sampler(port, victim.token, *each, stopped) for each in requests.values())])
    figures: Figures = {}
    for name, samples in zip(requests, times, strict=True):
        figures[name], figures[f"{name} median"] = quantiles(samples, n=100)[98], median(samples)
    return figures


def sampler(port: int, token: str, method: str, path: str, stopped: Event) -> Callable[[], list[float]]:
    """A function that sends requests until `stopped`, and returns their times in milliseconds."""

    def run() -> list[float]:
        client, times = Client(port, token), []
        while not stopped.is_set():
            response = client.send(method, path)
            assert response.status == 200, response.document
            times.append((response.ended - response.began) * 1000)
            stopped.wait(1 / REQUESTS_PER_SECOND)
        return times

    return run


def attack(port: int, attackers: list["DemoPool"], files: list[bytes]) -> list[int]:
    """Send all files of all attackers at the same time, wait until their imports end, and return the statuses."""
    sends = [send(port, attacker, file) for attacker in attackers for file in files]
    return run_in_threads(sends)


def send(port: int, attacker: "DemoPool", file: bytes) -> Callable[[], int]:
    """A function that sends a file, and waits for an import in the background."""

    def run() -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=MAX_SECONDS)
        headers = {"Authorization": f"Bearer {attacker.token}", "Content-Type": "application/gzip"}
        method, path = "POST", f"{attacker.pop_request[1]}/actions/import?dry-run=true&skip-invalid=true"
        connection.request(method, path, file, headers)
        response = connection.getresponse()
        document = json.loads(response.read())
        if response.status == 202:
            client, until = Client(port, attacker.token), time.monotonic() + MAX_SECONDS
            while document["data"]["attributes"]["state"] in ("waiting", "running"):
                assert time.monotonic() < until, "the import did not end"
                time.sleep(5)  # requests of our own would be among those that the others wait for
                document = client.send("GET", document["data"]["links"]["self"]).document
        return response.status

    return run


if __name__ == "__main__":
    main()
