"""The requests that `benchmarks` measures, and their data. Import it after `django.setup()`."""

import json
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.audit import AuditContext
from benchmarks.console_pages import sign_in
from benchmarks.machines import DemoMachines
from benchmarks.pools import DemoPool
from benchmarks.testbed.round_trips import round_trips
from licensing import services
from licensing.models import License

# Requests before those that are counted: psycopg prepares a statement at its sixth execution, with a round trip more.
WARM_UP = 8
# The median of so many counts: one in twenty responses with an idempotency key also deletes old ones.
COUNTED = 3
TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
# Method, path, headers and body.
Request = list[Any]


@dataclass
class Workload:
    """Requests that are sent in turn.

    Attributes:
        requests: the requests.
        is_baseline: whether they go to the server with the bare views.
    """

    requests: list[Request]
    is_baseline: bool = False

    def count_statements(self) -> int:
        """The statements of one request in a warm process; on PostgreSQL the round trips, everything counted."""
        settings.ALLOWED_HOSTS.append("testserver")
        counts = []
        for number in [f"counted-{each}" for each in range(WARM_UP + COUNTED)]:
            if connection.vendor == "postgresql":
                with round_trips() as count:
                    self._send(number)
                counts.append(count[0])
            else:
                with CaptureQueriesContext(connection) as captured:
                    self._send(number)
                counts.append(sum(not each["sql"].startswith(TRANSACTION_CONTROL) for each in captured))
        return median_low(counts[-COUNTED:])

    def _send(self, number: str) -> None:
        method, path, headers, body = self.requests[0]
        filled = {name: value.replace("{n}", number) for name, value in headers.items()}
        body = body.replace("{number}", number)
        response = Client().generic(method, path, body, content_type="application/json", headers=filled)
        if response.status_code >= 300:
            raise RuntimeError(response.content)


def build_workloads(max_requests: int) -> dict[str, Workload]:
    """All workloads by name, with pools that last for `max_requests` requests each."""
    popped, idempotent, issued, static = (DemoPool(size) for size in (max_requests, max_requests, max_requests, 1_000))
    key = static.policy.pool.first()
    license = issue_license(static)
    user, session = sign_in(static.account)

    def request(
        pool: DemoPool, method: str, path: str, document: dict[str, Any] | None = None, **headers: Any
    ) -> Request:
        headers = {"Authorization": f"Bearer {pool.token}", **headers}
        return [method, path, headers, "" if document is None else json.dumps(document)]

    machines = DemoMachines(static, max_requests // 30)
    account = f"/v1/accounts/{static.account.slug}"
    keys, licenses = f"{account}/keys", f"{account}/licenses"
    validation = f"{licenses}/actions/validate-key"
    key_events = f"/v1/accounts/{popped.account.slug}/key-events?limit=10"  # pops that ran before it
    members = {
        "policy": f"policies/{static.policy.pk}",
        "product": f"products/{static.policy.product_id}",
        "license": f"licenses/{license.pk}",
        "user": f"users/{user.pk}",
    }
    return {
        "bare view": Workload([["GET", "/bare", {}, ""]], is_baseline=True),
        "SELECT 1 view": Workload([["GET", "/select", {}, ""]], is_baseline=True),
        "get": Workload([request(static, "GET", f"{keys}/{key.pk}")]),
        **{f"get {name}": Workload([request(static, "GET", f"{account}/{path}")]) for name, path in members.items()},
        "list of 10": Workload([request(static, "GET", f"{keys}?limit=10")]),
        "list of 100": Workload([request(static, "GET", f"{keys}?limit=100")]),
        "validate-key": Workload([request(static, "POST", validation, {"meta": {"key": license.key}})]),
        "pop": Workload([request(popped, *popped.pop_request)]),
        "idempotent pop": Workload(
            [request(idempotent, *idempotent.pop_request, None, **{"Idempotency-Key": "key-{n}"})]
        ),
        "issue": Workload([request(issued, *issued.license_request)]),
        "validate, scope": Workload([request(static, "POST", validation, machines.validation)]),
        "ping": Workload([request(static, "POST", path) for path in machines.ping_paths]),
        "activate": Workload([request(static, *activation) for activation in machines.activation_requests]),
        "check-out": Workload([request(static, "POST", f"{licenses}/{license.pk}/actions/check-out")]),
        "list key events": Workload([request(popped, "GET", key_events)]),
        "console overview": Workload([["GET", "/admin/", {"Cookie": f"sessionid={session}"}, ""]]),
    }


def issue_license(pool: DemoPool) -> License:
    """Issue a license from a pool."""
    return services.issue_license(policy=pool.policy, audit=AuditContext(operator="benchmark"))
