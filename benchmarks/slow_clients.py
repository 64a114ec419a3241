"""Do slow clients delay others? Times of /healthz and of a pop, quiet and under attack, on the shipped server.

    python -m benchmarks.slow_clients [--database postgresql|sqlite] [--seconds 8]

Three attacks, one after the other, on a server of its own on this machine:

- bodies: 16 requests whose bodies come at a byte a second;
- headers: 2,000 connections with half a header block;
- readers: 16 clients that read an export of 10 MB at a kilobyte a second.

Every request that is measured has a new connection, as a client that arrives during the attack. Exits with 1 if a p99
under attack is more than twice that of the quiet server.
"""

import argparse
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from statistics import median, quantiles
from threading import Event, Thread
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING

from benchmarks.load import cpu_seconds_of
from benchmarks.servers import Server, database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

WORKERS = 2
SLOW_BODIES = 16
HALF_HEADERS = 2_000
SLOW_READERS = 16
EXPORTED_KEYS = 10_000
KEY_CHARACTERS = 1_000
MAX_RATIO = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--seconds", type=float, default=8.0, choices=range(1, 31), metavar="1..30")
    options = parser.parse_args()
    sys.exit(0 if run(options.database, options.seconds) else 1)


def run(kind: str, seconds: float) -> bool:
    """Measure all attacks and print the times. Returns whether all are within MAX_RATIO."""
    with database(kind):
        from benchmarks.pools import DemoPool  # after django.setup()
        from keygen_site.management.commands.serve import raise_file_limit

        raise_file_limit()
        pool, exported = DemoPool(20_000), DemoPool(EXPORTED_KEYS, characters=KEY_CHARACTERS)
        with server(workers=WORKERS) as running:
            for _ in range(200):  # warm up: the first requests of a process import modules
                time_request(running.port, "GET", "/healthz")
                time_request(running.port, *pool.pop_request, token=pool.token)
            print(f"{kind}, {WORKERS} workers, {seconds:g} s each\n")
            print(f"{'':<10}{'':<10}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}{'p99 to quiet':>14}")
            export(running.port, exported)  # marks the keys as exported, which takes longer than reading them
            is_good = True
            for name, attack in [("bodies", slow_bodies), ("headers", half_headers), ("readers", slow_readers)]:
                quiet = measure(running.port, pool, seconds)  # each time: other programs disturb the measurement too
                print_times("quiet", quiet, quiet)
                with attack(running, exported):
                    times = measure(running.port, pool, seconds)
                print_times(name, times, quiet)
                is_good &= all(p99(times[what]) <= MAX_RATIO * p99(quiet[what]) for what in quiet)
    print("\nSlow clients delay no other client." if is_good else "\nSlow clients delay other clients.")
    return is_good


def measure(port: int, pool: "DemoPool", seconds: float) -> dict[str, list[float]]:
    """The times of requests in milliseconds, sent one after the other for some seconds."""
    times: dict[str, list[float]] = {"/healthz": [], "pop": []}
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        times["/healthz"].append(time_request(port, "GET", "/healthz"))
        times["pop"].append(time_request(port, *pool.pop_request, token=pool.token))
    return times


def time_request(port: int, method: str, path: str, token: str = "") -> float:
    """The time of a request over a new connection in milliseconds; 30,000 if there is no response."""
    began = perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status}")
    except OSError:  # refused, reset, or timed out
        return 30_000.0
    finally:
        connection.close()
    return (perf_counter() - began) * 1000


def export(port: int, pool: "DemoPool") -> None:
    """Export a pool as fast as the server sends it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {pool.token}"}
    connection.request("GET", f"{pool.pop_request[1]}/actions/export", headers=headers)
    connection.getresponse().read()
    connection.close()


def p99(times: list[float]) -> float:
    return quantiles(times, n=100)[-1] if len(times) > 1 else times[0]


def print_times(name: str, times: dict[str, list[float]], quiet: dict[str, list[float]]) -> None:
    for what, taken in times.items():
        ratio = p99(taken) / p99(quiet[what])
        print(f"{name:<10}{what:<10}{len(taken):>9}{median(taken):>9.2f}{p99(taken):>9.2f}{ratio:>14.2f}")


# The attacks. Each holds its connections, to 127.0.0.1 only, until the context ends -----------------------------------


@contextmanager
def slow_bodies(running: Server, pool: "DemoPool") -> Iterator[None]:
    """Requests that begin a body, and then send a byte a second."""
    method, path, _ = pool.license_request
    head = request_head(method, path, pool.token, "Content-Type: application/json", "Content-Length: 1000")
    with (
        connections(running.port, SLOW_BODIES, head + b'{"data":') as opened,
        every_second(opened, lambda each: each.send(b" ")),
    ):
        yield


@contextmanager
def half_headers(running: Server, pool: "DemoPool") -> Iterator[None]:
    """Connections whose header block never ends."""
    with connections(running.port, HALF_HEADERS, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
        yield


@contextmanager
def slow_readers(running: Server, pool: "DemoPool") -> Iterator[None]:
    """Clients that read an export at a kilobyte a second."""
    head = request_head("GET", f"{pool.pop_request[1]}/actions/export", pool.token)
    with connections(running.port, SLOW_READERS, head) as opened:
        wait_until_stalled(running)
        with every_second(opened, lambda each: each.recv(1024)):
            yield


def wait_until_stalled(running: Server) -> None:
    """Wait up to two minutes until the server waits for the readers.

    Until then it reads keys into the buffers of the connections, which takes its time however slow the readers are.
    """
    deadline = monotonic() + 120
    while monotonic() < deadline:
        before = cpu_seconds_of(running.workers())
        sleep(2)
        if cpu_seconds_of(running.workers()) - before < 0.1:
            break


def request_head(method: str, path: str, token: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def connections(port: int, number: int, begin: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that have sent the beginning of a request."""
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            each = stack.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little is on the way to slow readers
            each.settimeout(5)
            with suppress(OSError):  # the server takes no more
                each.connect(("127.0.0.1", port))
                each.sendall(begin)
                opened.append(each)
        yield opened


@contextmanager
def every_second(opened: list[socket.socket], act: Callable[[socket.socket], object]) -> Iterator[None]:
    """Do something with each connection once a second, until the context ends."""
    is_over = Event()

    def work() -> None:
        while not is_over.wait(1):
            for each in opened:
                each.setblocking(False)
                with suppress(OSError):  # nothing to read yet, or the server has closed it
                    act(each)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


if __name__ == "__main__":
    main()
