"""Clients of the API that keep on asking until they have an answer, many at a time."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Thread
from time import monotonic, sleep
from uuid import uuid4


@dataclass
class Answer:
    """What one request came to. `began`, `ended`: seconds on a clock that all share; `tries`: 1 unless repeated."""

    status: int
    document: dict
    began: float
    ended: float
    tries: int = 1

    @property
    def detail(self):
        return self.document["errors"][0]["detail"] if "errors" in self.document else ""

    @property
    def key(self):
        return self.document["data"]["attributes"]["key"] if "data" in self.document else None


class Client:
    """One client with one connection."""

    def __init__(self, port, token):
        self.port, self.token, self.connection = port, token, None

    def ask(self, method, path, document=None, **headers):
        """One request and its answer.

        Raises:
            OSError, HTTPException: the connection broke; nobody knows whether the request had its effect.
        """
        body = None if document is None else json.dumps(document)
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        began = monotonic()
        try:
            if self.connection is None:
                self.connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            self.connection = None
            raise
        document = json.loads(content) if content.startswith(b"{") else {"errors": [{"detail": content.decode()}]}
        return Answer(response.status, document, began, monotonic())

    def insist(self, method, path, document=None, seconds=120):
        """The same under a name of its own, again and again until somebody answers for good (below 500, not 409)."""
        name = {"Idempotency-Key": uuid4().hex}
        began, tries = monotonic(), 0
        while monotonic() - began < seconds:
            tries += 1
            try:
                answer = self.ask(method, path, document, **name)
            except (OSError, HTTPException):
                sleep(0.02)
                continue
            if answer.status < 500 and answer.status != 409:
                answer.began, answer.tries = began, tries
                return answer
            sleep(0.02)
        raise TimeoutError(f"no answer to {method} {path} within {seconds} s")


def at_once(works):
    """Run functions in threads, all at the same time; returns what they returned, in their order."""
    results, failures = [None] * len(works), []

    def run(index, work):
        try:
            results[index] = work()
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
