"""Measures whether lists of machines get slower with the size of the table.

    python -m benchmarks.machine_scale [--machines 10000000] [--small 100000] [--json FILE]

One account on PostgreSQL: an oldest product with 1,000 machines of one license, which have an owner and a group, and a
large product, with 100 machines for each license. Measures pages by cursor from the newest machine to the oldest, pages
with each filter, a single machine, and pings, in turn; with `--small` machines, and with all. Prints the medians and
the ratios. Exits with 1 if one exceeds its bound.
"""

import argparse
import json
import sys
import time
from argparse import Namespace
from http.client import HTTPConnection
from statistics import median
from typing import Any

from benchmarks.imports import make_row, print_rows
from benchmarks.servers import Server, database, server

ROUNDS, WARM_UP_ROUNDS = 30, 3
MACHINES_OF_OLDEST, MACHINES_PER_LICENSE, BATCH_SIZE = 1_000, 100, 50_000
# The time of a request in the large table, relative to that of the first page there, and to that in the small table.
MAX_RATIO, MAX_GROWTH = 1.5, 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database("postgresql"):
        figures = measure(options)
    if options.json:
        json.dump(figures, options.json, indent=2)
    sys.exit(0 if all(figure["ok"] for figure in figures) else 1)


def measure(options: Namespace) -> list[dict[str, Any]]:
    """Measure with few machines and with many; returns rows made by `make_row()`."""
    park = MachinePark()
    with server() as running:
        park.grow_to(options.small)
        small = measure_requests(running, park)
        park.grow_to(options.machines)
        large = measure_requests(running, park)
    print(f"\n{'median, ms':<34}{options.small:>12,}{options.machines:>14,} machines")
    for what, taken in large.items():
        print(f"{what:<34}{small[what]:>12.2f}{taken:>14.2f}", flush=True)
    pages = [what for what in large if what not in ("first page", "one machine", "ping")]
    rows = [make_row(f"{what}: to the first page", large[what] / large["first page"], most=MAX_RATIO) for what in pages]
    rows += [
        make_row(f"{what}: to that of the small table", large[what] / small[what], most=MAX_GROWTH) for what in large
    ]
    print_rows(rows)
    return rows


class MachinePark:
    """The account with the machines.

    Attributes:
        old: the license whose machines are the oldest.
        count: the number of machines.
    """

    def __init__(self) -> None:
        from accounts.models import Group, User
        from benchmarks.pools import DemoPool
        from licensing.models import License

        pool = DemoPool(0)
        self.account, self.token, self.count = pool.account, pool.token, 0
        self.old_policy, self.policy = (self._make_policy(name) for name in ("Oldest", "Large"))
        owner = User.objects.create(account=self.account, email="owner@bench.test")
        group = Group.objects.create(account=self.account, name="Group")
        self.old = License.objects.create(**self._about(self.old_policy), key="OLDEST", owner=owner)
        self._add([self.old], MACHINES_OF_OLDEST, owner=owner, group=group)

    def _make_policy(self, name: str) -> Any:
        from licensing.models import Policy, Product

        product = Product(account=self.account, name=name)
        product.validate_and_save()
        # A machine is pinged before and after the rows are added, which takes longer than the usual ten minutes.
        policy = Policy(account=self.account, product=product, name=name, heartbeat_duration=86_400)
        policy.validate_and_save()
        return policy

    @staticmethod
    def _about(policy: Any) -> dict[str, Any]:
        return {"account": policy.account, "product": policy.product, "policy": policy}

    def grow_to(self, count: int) -> None:
        """Add machines of the large product, and refresh the statistics as autovacuum does."""
        from django.db import connection

        from licensing.models import License

        while self.count < count:
            licenses = [
                License(**self._about(self.policy), key=f"LICENSE-{self.count}-{number}")
                for number in range(BATCH_SIZE // MACHINES_PER_LICENSE)
            ]
            self._add(License.objects.bulk_create(licenses), MACHINES_PER_LICENSE)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE licensing_machine, licensing_license")

    def _add(self, licenses: list[Any], machines: int, **fields: Any) -> None:
        from uuid_utils import uuid7

        from benchmarks.copies import add_copies
        from keygen_site.db.fields import digest
        from licensing.models import Machine

        fingerprints = [(license.pk, f"{license.key}-{number}") for license in licenses for number in range(machines)]
        add_copies(
            Machine(account=self.account, license=licenses[0], fingerprint="COPY", **fields),
            (
                {"id": uuid7().hex, "license_id": license, "fingerprint": text, "digest": digest(text)}
                for license, text in fingerprints
            ),
        )
        self.count += len(fingerprints)

    def build_requests(self) -> dict[str, tuple[str, str]]:
        """The method and the path of each request by name."""
        from licensing.models import License

        api, machine = f"/v1/accounts/{self.account.slug}", self.old.machines.all()[MACHINES_OF_OLDEST // 2]
        newest = License.objects.filter(policy=self.policy).latest("created")

        def page(query: str = "", path: str = "machines") -> tuple[str, str]:
            return "GET", f"{api}/{path}?page[size]=10{query}"

        licenses = License.objects.filter(policy=self.policy).order_by("created")
        middle = licenses[licenses.count() // 2].machines.earliest("id")
        after = f"&page[cursor]={machine.pk}"
        requests = {
            "first page": page(),
            "cursor in the middle": page(f"&page[cursor]={middle.pk}"),
            "cursor at the end": page(after),
        }
        filters = {
            "oldest product": f"&product={self.old.product_id}",
            "large product": f"&product={self.policy.product_id}",
            "oldest license": f"&license={self.old.pk}",
            "newest license": f"&license={newest.pk}",
            "owner": f"&owner={self.old.owner_id}",
            "group": f"&group={machine.group_id}",
        }
        for name, query in filters.items():
            requests[f"of the {name}"] = page(query)
        for name in ("oldest product", "oldest license", "owner", "group"):
            requests[f"of the {name}, after a cursor"] = page(filters[name] + after)
        return requests | {
            "below the oldest product": page(path=f"products/{self.old.product_id}/machines"),
            "below the oldest license": page(path=f"licenses/{self.old.pk}/machines"),
            "below the group": page(path=f"groups/{machine.group_id}/machines"),
            "by fingerprint": page(f"&fingerprint={machine.fingerprint}"),
            "one machine": ("GET", f"{api}/machines/{machine.pk}"),
            "ping": ("POST", f"{api}/machines/{machine.pk}/actions/ping"),
        }


def measure_requests(running: Server, park: MachinePark) -> dict[str, float]:
    """The median time in milliseconds of each request, sent in turn."""
    requests, headers = park.build_requests(), {"Authorization": f"Bearer {park.token}"}
    connection = HTTPConnection("127.0.0.1", running.port, timeout=120)
    taken: dict[str, list[float]] = {what: [] for what in requests}
    for number in range(ROUNDS + WARM_UP_ROUNDS):
        for what, (method, path) in requests.items():
            began = time.monotonic()
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
            if number >= WARM_UP_ROUNDS:
                taken[what].append((time.monotonic() - began) * 1000)
    return {what: median(times) for what, times in taken.items()}


if __name__ == "__main__":
    main()
