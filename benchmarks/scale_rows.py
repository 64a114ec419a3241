"""The rows besides keys that `benchmarks.scale` adds. Import it after `django.setup()`."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from uuid_utils import uuid7

from accounts.models import Account, Group, User
from benchmarks.copies import add_copies
from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digester
from licensing.models import Entitlement, License, LicenseEntitlement, Machine, Policy
from pools.models import KeyEvent

BLOCK = 50_000
RARE = 1_000  # one in so many rows is suspended, has no owner, no machine, or a tag in its metadata
LEDGER_DAYS = 365


class Customers:
    """The customers of an account, each with a license that has a machine.

    All are in one group, all licenses have an entitlement, and one in twenty has expired.

    Attributes:
        policy: of the licenses; without a pool.
        count: the number of customers.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy, self.count = policy, 0
        account = policy.account
        self.group = Group.objects.create(account=account, name="Customers", max_machines=2**31 - 1)
        self.entitlement = Entitlement.objects.create(account=account, name="Offline mode", code="OFFLINE")

    def grow_to(self, count: int) -> None:
        while self.count < count:
            number = min(BLOCK, count - self.count)
            self._add(range(self.count, self.count + number))
            self.count += number

    def _add(self, numbers: range) -> None:
        account, group, policy, now = self.policy.account, self.group, self.policy, timezone.now()
        ids = [[uuid7().hex for _ in range(4)] for _ in numbers]
        digester = key_digester()
        common: dict[str, Any] = {"account": account, "group": group}
        people = zip(numbers, ids, strict=True)
        add_copies(
            User(**common),
            (
                {"id": user, "email": f"customer{number}@bench.test", "first_name": f"First{number}"}
                for number, (user, *_) in people
            ),
        )
        license = License(**common, policy=policy, product=policy.product, key="LICENSE")
        soon, past, later = (now + timedelta(days=days) for days in (2, -30, 700))

        def licenses() -> Iterator[dict[str, Any]]:
            for number, (user, pk, *_) in zip(numbers, ids, strict=True):
                rest = number % RARE
                yield {
                    "id": pk,
                    "owner_id": None if rest == 1 else user,
                    "key": f"LICENSE-{pk}",
                    "digest": digester.digest(f"LICENSE-{pk}"),
                    "suspended": rest == 2,
                    "expiry": soon if rest == 3 else past if number % 20 == 4 else later,
                    "name": f"License {number}" if rest == 5 else None,
                }

        add_copies(license, licenses())
        add_copies(
            LicenseEntitlement(account=account, entitlement=self.entitlement),
            ({"id": pk, "license_id": license_id} for _, license_id, pk, _ in ids),
        )
        machine = Machine(**common, license=license, fingerprint="MACHINE")
        add_copies(
            machine,
            (
                {
                    "id": pk,
                    "license_id": license_id,
                    "owner_id": user,
                    "fingerprint": f"MACHINE-{number}",
                    "digest": digest(f"MACHINE-{number}"),
                    "name": f"Computer {number}",
                }
                for number, (user, license_id, _, pk) in zip(numbers, ids, strict=True)
                if number % RARE > 1
            ),
        )


def add_ledger(account: Account, policy: Policy, count: int) -> None:
    """Add entries of keys that were popped from a pool in the last year, and that are gone."""
    now = timezone.now()
    start = now - timedelta(days=LEDGER_DAYS)
    step = (now - start) / count
    bearer = account.users.earliest("created")
    token = bearer.tokens.get()
    template = KeyEvent(
        account=account,
        event=KeyEvent.Event.POPPED,
        product=policy.product,
        policy=policy,
        bearer_type="user",
        bearer_id=bearer.pk,
        token_id=token.pk,
    )

    def entries() -> Iterator[dict[str, Any]]:
        for number in range(count):
            time: datetime = start + step * number
            pk = uuid7(nanoseconds=int(time.timestamp()) * 10**9 + time.microsecond * 1000).hex
            yield {
                "id": pk,
                "created": str(time),
                "key_id": uuid7().hex,
                "key_digest": digest(pk),
                "reference": f"Order {number}",
            }

    add_copies(template, entries())
