"""The race of `exactly_once` against a running server that speaks the API, ours or another one, by requests only."""

import ipaddress
import json
import socket
import sys
from collections import Counter
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from benchmarks.clients import Client, Response, run_in_threads

MAX_KEYS, MAX_CLIENTS = 10_000, 256
REFUSALS_PER_CLIENT = 5  # refusals in a row after which a client stops
MAX_REQUESTS_PER_CLIENT = 20_000


class RemoteClient(Client):
    """A client of a server at any address, for one account."""

    def __init__(self, url: SplitResult, account: str, token: str) -> None:
        super().__init__(url.port or 0, token)
        self.url, self.account = url, account

    def connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self.url.scheme == "https" else HTTPConnection
        return kind(str(self.url.hostname), self.url.port, timeout=30)

    def ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Response:
        media = {"Accept": "application/vnd.api+json", "Content-Type": "application/vnd.api+json"}
        return self.send(method, f"{self.url.path.rstrip('/')}/v1/accounts/{self.account}/{path}", document, **media)

    def make(self, kind: str, attributes: dict[str, Any], **related: str) -> str:
        """Create a resource and return its id.

        Raises:
            SystemExit: the server refuses the request; with the text of its error.
        """
        relationships = {name: {"data": {"type": plural_of(name), "id": id}} for name, id in related.items()}
        document = {"data": {"type": kind, "attributes": attributes, "relationships": relationships}}
        response = self.ask("POST", kind, document)
        if response.status >= 300:
            sys.exit(f"POST {kind}: {response.status} {json.dumps(response.document)[:500]}")
        return str(response.document["data"]["id"])


def plural_of(name: str) -> str:
    return "policies" if name == "policy" else f"{name}s"


def parse_url(text: str, *, may_be_public: bool) -> SplitResult:
    """The URL of a server.

    Raises:
        ValueError: it is none, or its host has a public address and `may_be_public` is false.
    """
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{text} is no URL such as http://127.0.0.1:8000")
    found = {each[4][0] for each in socket.getaddrinfo(url.hostname, url.port, type=socket.SOCK_STREAM)}
    public = sorted(str(each) for each in found if not ipaddress.ip_address(each).is_private)
    if public and not may_be_public:
        raise ValueError(
            f"{url.hostname} is public ({', '.join(public)}); --yes-really sends it some load nevertheless"
        )
    return url


def race(url: SplitResult, account: str, token: str, keys: int, clients: int) -> dict[str, Any]:
    """Make a product with a pool, empty it by concurrent pops, delete the product, and return the figures."""
    admin = RemoteClient(url, account, token)
    product = admin.make("products", {"name": f"Exactly once {uuid4().hex[:8]}"})
    try:
        policy = admin.make("policies", {"name": "Pool of the race", "usePool": True}, product=product)
        for number in range(keys):
            admin.make("keys", {"key": f"RACE-{number:06}-{uuid4().hex}"}, policy=policy)
        works = [partial(pop_until_empty, RemoteClient(url, account, token), policy) for _ in range(clients)]
        responses = [response for each in run_in_threads(works) for response in each]
        left = count_left(admin, policy, keys)
    finally:
        admin.ask("DELETE", f"products/{product}")
    handed_out = Counter(response.key for response in responses if response.status < 300)
    return {
        "keys": keys,
        "handed out": sum(handed_out.values()),
        "distinct": len(handed_out),
        "to two or more callers": sum(count > 1 for count in handed_out.values()),
        "left": left,
        "lost": keys - len(handed_out) - left,
        "refused": dict(Counter(response.status for response in responses if response.status >= 300)),
    }


def pop_until_empty(client: RemoteClient, policy: str) -> list[Response]:
    responses: list[Response] = []
    refusals = 0
    while refusals < REFUSALS_PER_CLIENT and len(responses) < MAX_REQUESTS_PER_CLIENT:
        responses.append(client.ask("DELETE", f"policies/{policy}/pool"))
        refusals = refusals + 1 if responses[-1].status >= 300 else 0
    return responses


def count_left(client: RemoteClient, policy: str, most: int) -> int:
    """How many keys the pool lists."""
    count = 0
    for page in range(1, most // 100 + 2):
        path = f"policies/{policy}/pool?page[size]=100&page[number]={page}"
        rows = len(client.ask("GET", path).document.get("data", ()))
        count += rows
        if rows < 100:
            break
    return count
