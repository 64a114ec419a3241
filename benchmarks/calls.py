"""How much code a request runs: `python -m benchmarks.calls`.

Prints a row for each kind of request: our own functions, calls and files, how often control passes from one of our
files to another, calls inside Django and DRF, and statements, transaction control included. The requests go through
Django's test client after two of the same kind, so that nothing is loaded or compiled during the measured one. All
set-up goes through HTTP and `manage.py`: the program measures any version of the server.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.servers import ROOT, database

PACKAGES = tuple(f"{ROOT / name}/" for name in ("keygen_site", "accounts", "licensing", "pools"))
COLUMNS = ("functions", "calls", "files", "changes of file", "Django calls", "DRF calls", "statements")


class Counter:
    """Counts the calls of Python functions by the package that they are in."""

    def __init__(self) -> None:
        self.calls = {"ours": 0, "django": 0, "rest_framework": 0}
        self.functions: set[object] = set()
        self.path: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(PACKAGES):
            self.calls["ours"] += 1
            self.functions.add(code)
            if not self.path or self.path[-1] != code.co_filename:
                self.path.append(code.co_filename)
        else:
            for package in ("rest_framework", "django"):
                if f"/site-packages/{package}/" in code.co_filename:
                    self.calls[package] += 1

    def row(self) -> tuple[int, ...]:
        files = len(set(self.path))
        return (
            len(self.functions),
            self.calls["ours"],
            files,
            max(len(self.path) - 1, 0),
            self.calls["django"],
            self.calls["rest_framework"],
        )


def measure(request: Callable[[str], Any]) -> tuple[int, ...]:
    """The figures of one request; its argument is a text that no other request has."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    request("first"), request("second")
    counter = profile(request, "third")
    with CaptureQueriesContext(connection) as captured:
        request("fourth")
    return (*counter.row(), len(captured))


def profile(request: Callable[[str], Any], text: str) -> Counter:
    """Count the calls of one request."""
    counter = Counter()
    sys.setprofile(counter)
    try:
        request(text)
    finally:
        sys.setprofile(None)
    return counter


def requests() -> dict[str, Callable[[str], Any]]:
    """Requests by their name, for an account with a pool and a license."""
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    settings.ALLOWED_HOSTS.append("testserver")
    token = StringIO()
    call_command("create_account", "acme", "admin@acme.test", stdout=token, stderr=StringIO())
    client = Client()

    def ask(
        method: str, path: str, document: Any = None, content_type: str = "application/json", **headers: str
    ) -> Any:
        body = json.dumps(document) if isinstance(document, dict) else document or ""
        sent = {"Authorization": f"Bearer {token.getvalue().strip()}", **headers}
        response = client.generic(method, f"/v1/accounts/acme/{path}", body, content_type=content_type, headers=sent)
        if response.status_code >= 300:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.content!r}")
        return json.loads(response.content).get("data") if response.content else None

    def resource(kind: str, attributes: dict[str, Any], **related: str) -> dict[str, Any]:
        relationships = {name: {"data": {"type": f"{name}s", "id": id}} for name, id in related.items()}
        return {"data": {"type": kind, "attributes": attributes, "relationships": relationships}}

    product = ask("POST", "products", resource("products", {"name": "Rocket"}))["id"]
    terms = {"name": "Pooled", "usePool": True}
    policy = ask("POST", "policies", resource("policies", terms, product=product))["id"]
    pool = f"policies/{policy}/pool"

    def fill(name: str, count: int) -> None:
        lines = "".join(f"{name}-{number:06}\n" for number in range(count))
        ask("POST", f"{pool}/actions/import", lines, "text/plain")

    fill("KEY", 200)
    license = {"data": {"type": "licenses", "relationships": {"policy": {"data": {"type": "policies", "id": policy}}}}}
    key = ask("GET", "keys?limit=100")[-1]["id"]
    issued = ask("POST", "licenses", license)
    return {
        "GET key": lambda text: ask("GET", f"keys/{key}"),
        "list of 10": lambda text: ask("GET", "keys?limit=10"),
        "pop": lambda text: ask("DELETE", pool),
        "pop with Idempotency-Key": lambda text: ask("DELETE", pool, **{"Idempotency-Key": text}),
        "issue from a pool": lambda text: ask("POST", "licenses", license),
        "validate-key": lambda text: ask(
            "POST", "licenses/actions/validate-key", {"meta": {"key": issued["attributes"]["key"]}}
        ),
        "import of 3 lines": lambda text: fill(f"IMPORT-{text}", 3),
        "GET policy": lambda text: ask("GET", f"policies/{policy}"),
        "GET product": lambda text: ask("GET", f"products/{product}"),
        "GET license": lambda text: ask("GET", f"licenses/{issued['id']}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--files", action="store_true", help="also print the files that each request runs through")
    options = parser.parse_args()
    os.environ["LOG_LEVEL"] = "ERROR"
    with database(options.database):
        print(f"{'request':26}" + "".join(f"{name:>17}" for name in COLUMNS))
        for name, request in requests().items():
            print(f"{name:26}" + "".join(f"{number:17}" for number in measure(request)))
            if options.files:
                print_files(request)


def print_files(request: Callable[[str], Any]) -> None:
    print("    " + " → ".join(str(Path(path).relative_to(ROOT)) for path in profile(request, "fifth").path))


if __name__ == "__main__":
    main()
