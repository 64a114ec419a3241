"""Sends requests through Django's test client and keeps a normalised record of each response."""

import base64
import hashlib
import io
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID

import orjson
import time_machine
import uuid_utils.compat
from django.core.management import ManagementUtility
from django.db import transaction
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, ClientHandler, encode_multipart

JSON_API = "application/vnd.api+json"
START = datetime(2027, 3, 1, 9, tzinfo=UTC)

CERTIFICATE = re.compile(r"-----BEGIN ([A-Z ]+)-----([^-]*)-----END [A-Z ]+-----")
SIGNED = re.compile(r"(?<![\w-])[\w-]{4,}+=*+(?:\.[\w-]{8,}+=*+)?\.[\w-]{80,}=*")
VOLATILE = re.compile(
    r"(?P<id>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
    r"|(?P<token>\b(?:admin|dev|sales|spprt|read|prod|activ|user)-[0-9a-f]{32,64}v3)"
    r"|(?P<key>\b(?:[0-9A-F]{6}-){5}V3|\bDEMO-[0-9A-F]{16}|\b[0-9a-f]{32}-[0-9a-f]{32}-[0-9a-f]{32}-[0-9a-f]{30}v1)"
    r"|(?P<password>(?<=Password  )[\w-]{16})"
    r"|(?P<speed>\d+\.\d s, [\d,]+ (?:lines per|a) second|\"seconds\": [\d.]+)"
)
LONG = re.compile(r"[\w+/=-]{40,}")


def predictable_ids() -> None:
    """Replace the generator of version 7 UUIDs by one of the frozen clock and a counter.

    Ids are in the order of creation, and agree with the timestamps.
    """
    numbers = count(1)

    def uuid7(*_: object) -> UUID:
        return UUID(int=int(time.time() * 1000) << 80 | 7 << 76 | 2 << 62 | next(numbers))

    uuid_utils.compat.uuid7 = uuid7


@dataclass(frozen=True)
class Response:
    """A response, or the output of a command, before it is normalised."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="backslashreplace")

    def data(self, *path: str) -> Any:
        """A part of the JSON document, or None where the response has no such part."""
        found = json.loads(self.body) if self.body[:1] == b"{" else None
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


class Recorder:
    """Sends requests, as bearers by name, and collects a record of each response.

    Attributes:
        known: ids by name. `{joe}` stands for an id in the paths and documents of requests, and in records.
        bearers: the value of the header Authorization by the bearer's name; "anonymous" has none.
        records: the records by their id, which describes the request.
    """

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock, self.now, self.pace = clock, START, timedelta(0)
        self.section, self.step = "", 0
        self.known: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.bearers: dict[str, str] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.repeats: Counter[str] = Counter()
        self.handler = ClientHandler(enforce_csrf_checks=True)

    # Time and transactions -------------------------------------------------------------------------------------------

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)
        self.clock.move_to(self.now, tick=False)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Roll back all that the requests change, and put the clock back: no request sees the effects of others."""
        before = self.now, dict(self.known), dict(self.bearers)
        block = transaction.atomic()
        block._from_testcase = True  # durable blocks of a request are allowed inside it
        with block:
            yield
            transaction.set_rollback(True)
        self.now, self.known, self.bearers = before
        self.clock.move_to(self.now, tick=False)

    @contextmanager
    def story(self, section: str, seconds: float = 1) -> Iterator[None]:
        """Requests that follow each other, numbered, with some seconds between them."""
        self.section, self.step, self.pace = section, 1, timedelta(seconds=seconds)
        yield
        self.step, self.pace = 0, timedelta(0)

    # Requests --------------------------------------------------------------------------------------------------------

    def ask(
        self,
        request: str,
        document: Any = None,
        bearer: str = "admin",
        about: str = "",
        *,
        keep: str = "",
        content_type: str = JSON_API,
        simplify: Callable[[str], str] = str,
        **headers: str,
    ) -> Response:
        """Send a request such as `POST licenses/{license}/actions/suspend`; a path without a slash is Acme's.

        Args:
            document: bytes are sent as they are, anything else as JSON.
            about: the special feature of the request, for the record's id.
            keep: the name to know the id in the response by, and the token as the bearer of that name.
            headers: further ones, `Keygen_Version="1.0"`.
        """
        method, _, path = request.partition(" ")
        if "Authorization" in headers:
            bearer = "given"
        elif bearer in self.bearers:
            headers["Authorization"] = self.bearers[bearer]
        url = self.filled(path if path.startswith("/") else f"/v1/accounts/acme/{path}".rstrip("/"))
        body = b"" if document is None else document
        if not isinstance(body, bytes):
            body = json.dumps(self.filled(document)).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.send(Client(), method, url, body, content_type, sent)
        if keep:
            self.learn(keep, response.data("data", "id"), response.data("data", "attributes", "token"))
        self.record(f"{request} as {bearer}{about and f': {about}'}", method, url, response, simplify)
        return response

    def browse(self, client: Client, request: str, fields: dict[str, Any] | None, about: str) -> Response:
        """Send a request as a browser does, with its cookies and the fields of a form."""
        method, _, path = request.partition(" ")
        body = b"" if fields is None else encode_multipart(BOUNDARY, fields)
        response = self.send(client, method, self.filled(path), body, MULTIPART_CONTENT, {"Accept": "text/html"})
        self.record(f"{request} as {about}", method, self.filled(path), response)
        return response

    def send(
        self, client: Client, method: str, url: str, body: bytes, content_type: str, headers: dict[str, str]
    ) -> Response:
        self.move(seconds=self.pace.total_seconds())
        client.handler, client.raise_request_exception = self.handler, False
        response = client.generic(method, url, body, content_type=content_type, headers=headers)
        shown = dict(response.headers)
        for name, cookie in response.cookies.items():
            shown[f"Set-Cookie {name}"] = cookie.OutputString().replace(cookie.value or '""', "<value>", 1)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        return Response(response.status_code, shown, content)

    def command(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command of manage.py, record its output and exit code, and return its standard output."""
        out, err, given = io.StringIO(), io.StringIO(), io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))
        argv, code = ["manage.py", *map(self.filled, arguments)], 0
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", given):
            try:
                ManagementUtility(argv).fetch_command(argv[1]).run_from_argv(argv)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(bool(end.code))
            except Exception as error:
                code = 1
                err.write(f"Traceback: {error!r}")
        response = Response(code, {"stderr": err.getvalue()}, out.getvalue().encode())
        self.record(" ".join(argv), "manage.py", " ".join(arguments), response)
        return out.getvalue()

    def learn(self, name: str, id: str | None = None, token: str | None = None) -> None:
        """Know an id by a name from now on, and a token as the bearer of that name."""
        if id:
            self.known[name] = id
            self.names[id] = f"{{{name}}}"
        if token:
            self.names[token] = f"<token {name}>"
            self.bearers[name] = f"Bearer {token}"

    def filled(self, value: Any) -> Any:
        """The same value with the ids for their names."""
        match value:
            case str():
                return re.sub(r"\{([\w-]+)\}", lambda match: self.known.get(match[1], match[0]), value)
            case dict():
                return {name: self.filled(content) for name, content in value.items()}
            case list():
                return [self.filled(item) for item in value]
        return value

    def named(self, address: str) -> str:
        """The same address with names for the ids in it."""
        return VOLATILE.sub(lambda match: self.names.get(match[0], match[0]), address)

    def record(
        self, label: str, method: str, path: str, response: Response, simplify: Callable[[str], str] = str
    ) -> None:
        label = Normaliser(self.names).text(label)
        label = f"{self.section}: {f'{self.step:03} ' if self.step else ''}{label}"
        self.step += bool(self.step)
        self.repeats[label] += 1
        normaliser = Normaliser(self.names)
        headers = dict(sorted(response.headers.items()))
        digest = base64.b64encode(hashlib.sha256(response.body).digest()).decode()
        for name in ("Digest", "Keygen-Digest"):
            if headers.get(name) == f"sha-256={digest}":
                headers[name] = "<digest of the body>"
        try:
            body = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            body = None
        if orjson.dumps(body) != response.body:  # text, or JSON that is not as compact as the API writes it
            body = simplify(response.text)
        if simplify is not str:
            del headers["Content-Length"]
        self.records[label if self.repeats[label] == 1 else f"{label} #{self.repeats[label]}"] = {
            "method": method,
            "path": normaliser.text(path),
            "status": response.status,
            "headers": normaliser.value(headers),
            "body": normaliser.value(body),
        }


class Normaliser:
    """Replaces values that differ from run to run: known ids by their names, others by numbers within the record."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.seen: dict[str, dict[str, int]] = {}

    def value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self.value(content) for name, content in value.items()}
            case list():
                return [self.value(item) for item in value]
        return value

    def text(self, text: str) -> str:
        text = CERTIFICATE.sub(opened_certificate, text)
        text = SIGNED.sub(lambda match: ".".join(map(decoded, match[0].split("."))), text)
        return LONG.sub(without_secret, VOLATILE.sub(self._replace, text))

    def _replace(self, match: re.Match[str]) -> str:
        text, kind = match[0], str(match.lastgroup)
        if text in self.names:
            return self.names[text]
        seen = self.seen.setdefault(f"{text.partition('-')[0]} token" if kind == "token" else kind, {})
        return f"<{kind} {seen.setdefault(text, len(seen) + 1)}>"


def without_secret(match: re.Match[str]) -> str:
    """The length of a long text that looks random, such as a signature or the token of a form."""
    text = match[0]
    is_random = all(re.search(letters, text) for letters in ("[a-z]", "[A-Z]", "[0-9]"))
    return f"<{len(text)} characters>" if is_random else text


def opened_certificate(match: re.Match[str]) -> str:
    """A license file as its contents."""
    try:
        inside = json.loads(base64.b64decode(match[2]))
        return f"<{match[1]} {inside['alg']} {len(inside['sig'])} {decoded(inside['enc'])}>"
    except (ValueError, KeyError, TypeError):
        return match[0]


def decoded(part: str) -> str:
    """A part of a signed key as the text that it encodes, or its length where it is no text."""
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
    except ValueError:
        text = "\0"
    return text if text.isprintable() else f"<{len(part)} characters>"
