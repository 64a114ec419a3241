"""What is measured, and the data that it needs. Imported only when Django is set up."""

import json
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.pools import DemoPool

CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


@dataclass
class Subject:
    """Requests to send round and round; `floor`: to the server with the bare views."""

    requests: list
    floor: bool = False

    def statements(self):
        """How many statements one of the requests costs, transaction control apart, when the process is warm."""
        settings.ALLOWED_HOSTS.append("testserver")
        method, path, headers, body = self.requests[0]
        for number in ("warm", "counted"):
            named = {name: value.replace("{n}", number) for name, value in headers.items()}
            with CaptureQueriesContext(connection) as captured:
                response = Client().generic(method, path, body, content_type="application/json", headers=named)
            if response.status_code >= 300:
                raise RuntimeError(response.content)
        return sum(not query["sql"].startswith(CONTROL) for query in captured.captured_queries)


def subjects(most_requests):
    """All subjects by name, with pools that hold out for so many requests each."""
    pool, named, issued, standing = (DemoPool(size) for size in (most_requests, most_requests, most_requests, 1_000))
    key = standing.policy.pool.first()
    license_key = licensed(standing)

    def request(pool, method, path, document=None, **headers):
        sent = {"Authorization": f"Bearer {pool.token}", **headers}
        return [method, path, sent, "" if document is None else json.dumps(document)]

    keys = f"/v1/accounts/{standing.account.slug}/keys"
    validation = f"/v1/accounts/{standing.account.slug}/licenses/actions/validate-key"
    return {
        "bare view": Subject([["GET", "/bare", {}, ""]], floor=True),
        "SELECT 1 view": Subject([["GET", "/select", {}, ""]], floor=True),
        "get": Subject([request(standing, "GET", f"{keys}/{key.pk}")]),
        "list of 10": Subject([request(standing, "GET", f"{keys}?limit=10")]),
        "validate-key": Subject([request(standing, "POST", validation, {"meta": {"key": license_key}})]),
        "pop": Subject([request(pool, *pool.pop_request)]),
        "pop by name": Subject([request(named, *named.pop_request, **{"Idempotency-Key": "name-{n}"})]),
        "issue": Subject([request(issued, *issued.license_request)]),
    }


def licensed(pool):
    """The key of a new license from a pool."""
    from accounts.audit import AuditContext
    from licensing.services import issue_license

    return issue_license(policy=pool.policy, audit=AuditContext(operator="benchmark")).key
