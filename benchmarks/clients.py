"""Clients of the API that repeat requests until they get a response, and threads to run many of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Thread
from time import monotonic, sleep
from typing import Any, TypeVar
from uuid import uuid4

Result = TypeVar("Result")


@dataclass
class Response:
    """A response.

    Attributes:
        status, document: of the response.
        began, ended: when the request was sent and the response complete, by `time.monotonic()`.
        tries: how often the request was sent.
    """

    status: int
    document: dict[str, Any]
    began: float
    ended: float
    tries: int = 1

    @property
    def detail(self) -> str:
        return self.document["errors"][0]["detail"] if "errors" in self.document else ""

    @property
    def key(self) -> str | None:
        return self.document["data"]["attributes"]["key"] if "data" in self.document else None


class Client:
    """A client with one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.connection: HTTPConnection | None = None

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(self, method: str, path: str, document: dict[str, Any] | None = None, **headers: str) -> Response:
        """Send a request and return the response.

        Raises:
            OSError, HTTPException: the connection broke; it is unknown whether the request had its effect.
        """
        body = None if document is None else json.dumps(document)
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        began = monotonic()
        try:
            if self.connection is None:
                self.connection = self.connect()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            self.connection = None
            raise
        document = json.loads(content) if content.startswith(b"{") else {"errors": [{"detail": content.decode()}]}
        return Response(response.status, document or {}, began, monotonic())

    def send_until_done(
        self, method: str, path: str, document: dict[str, Any] | None = None, seconds: float = 120
    ) -> Response:
        """Repeat a request with an Idempotency-Key until a response is final: below 500, and not 409."""
        idempotency_key = {"Idempotency-Key": uuid4().hex}
        began, tries = monotonic(), 0
        while monotonic() - began < seconds:
            tries += 1
            try:
                response = self.send(method, path, document, **idempotency_key)
            except (OSError, HTTPException):
                sleep(0.02)
                continue
            if response.status < 500 and response.status != 409:
                response.began, response.tries = began, tries
                return response
            sleep(0.02)
        raise TimeoutError(f"no final response to {method} {path} within {seconds} s")


def run_in_threads(functions: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions in a thread each, and return their results in order."""
    results: list[Any] = [None] * len(functions)
    failures: list[BaseException] = []

    def run(index: int, function: Callable[[], Result]) -> None:
        try:
            results[index] = function()
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
