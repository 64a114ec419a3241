"""A load generator: sends requests over keep-alive connections.

    python -m benchmarks.loader PORT CONNECTIONS SECONDS [RATE] < requests

Each connection sends a request as soon as the last response has arrived. With a rate, requests are due at equal
intervals, RATE in a second: each is sent over an idle connection, and its time counts from when it was due.

Standard input is a JSON list of requests `[method, path, headers, body]`, which are sent in turn. In each request
becomes a different number: `{n}` in a header, and `{number}` anywhere, which is as long as the eight digits that
replace it. Standard output has the figures as JSON.
"""

import json
import selectors
import socket
import sys
from collections import Counter, deque
from collections.abc import Mapping
from itertools import count, cycle
from random import randrange
from time import perf_counter
from typing import Any


class Connection:
    """A connection with at most one running request."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.began = 0.0

    def send(self, request: bytes, began: float) -> None:
        self.began = began
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read the available bytes; returns the status once the response is complete, else None.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        received = self.socket.recv(262_144)
        if not received:
            raise ConnectionError("the server closed a connection")
        self.buffer += received
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        lower = head.lower()
        start = lower.find(b"content-length:")
        length = int(lower[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(body) < length:
            return None
        self.buffer = b""
        return int(head[9:12])


def encode_request(method: str, path: str, headers: Mapping[str, str], body: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    content = body.encode()
    if content:
        lines += ["Content-Type: application/vnd.api+json", f"Content-Length: {len(content)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


def load(port: int, connections: int, seconds: float, requests: list[Any], rate: float = 0) -> dict[str, Any]:
    """Send requests for some seconds; returns their number, statuses, rate, and times in milliseconds.

    Args:
        rate: of the requests that are due in a second; 0 for as many as there are responses.
    """
    numbers = count(randrange(10**7))  # the next run of a workload has others
    texts = cycle([encode_request(*request) for request in requests])

    def next_request() -> bytes:
        number = next(numbers)
        return next(texts).replace(b"{n}", b"%d" % number).replace(b"{number}", b"%08d" % number)

    selector = selectors.DefaultSelector()
    # The one that was idle longest comes next, so that the server closes none for being idle.
    idle = deque(Connection(port) for _ in range(connections))
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    statuses: Counter[int] = Counter()
    times: list[float] = []
    began = now = perf_counter()
    sent = 0
    while now - began < seconds or len(idle) < connections:
        while idle and now - began < seconds and (not rate or now - began >= sent / rate):
            idle.popleft().send(next_request(), began + sent / rate if rate else now)
            sent += 1
        until_due = began + sent / rate - now if rate and idle else 10
        for selected, _ in selector.select(timeout=max(until_due, 0)):
            connection = selected.data
            status = connection.receive()
            if status is None:
                continue
            statuses[status] += 1
            times.append(perf_counter() - connection.began)
            idle.append(connection)
        now = perf_counter()
    spent = perf_counter() - began
    times.sort()
    return {
        "requests": len(times),
        "statuses": dict(statuses),
        "rate": len(times) / spent,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[len(times) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    port, connections, seconds, *rates = map(float, sys.argv[1:])
    json.dump(load(int(port), int(connections), seconds, json.load(sys.stdin), *rates), sys.stdout)
