"""A filled pool for a benchmark. Import it after `django.setup()`."""

from typing import Any
from uuid import uuid4

from accounts.models import Account
from accounts.services import create_account
from licensing.models import Policy, Product
from pools.models import Key, KeyEvent


class DemoPool:
    """A new pool in an account of its own, the requests that take keys from it, and counts of its keys.

    Attributes:
        account, policy: of the pool.
        size: the number of its keys at the beginning; `characters` pads their texts.
        token: of the account's admin.
        pop_request, license_request: method and path, and for the latter the document, of a request that takes a key.
    """

    def __init__(self, size: int, characters: int = 0) -> None:
        slug = f"bench-{uuid4().hex[:8]}"
        account, _, self.token = create_account(slug=slug, name=slug, email=f"admin@{slug}.test")
        product = Product(account=account, name="Benchmark")
        product.validate_and_save()
        policy = Policy(account=account, product=product, name="Benchmark", use_pool=True)
        policy.validate_and_save()
        keys = (
            Key(account=account, policy=policy, key=f"{slug}-{number:07}".ljust(characters, "X"))
            for number in range(size)
        )
        Key.objects.bulk_create(keys, batch_size=1000)
        self.account: Account = account
        self.policy: Any = policy
        self.size = size
        prefix = f"/v1/accounts/{slug}"
        linkage = {"policy": {"data": {"type": "policies", "id": str(policy.pk)}}}
        self.pop_request = ("DELETE", f"{prefix}/policies/{policy.pk}/pool")
        self.license_request = ("POST", f"{prefix}/licenses", {"data": {"type": "licenses", "relationships": linkage}})

    def counts(self) -> tuple[int, int, int]:
        """The numbers of available keys, of popped keys, and of ledger entries."""
        available = self.policy.pool.available().count()
        entries = KeyEvent.objects.filter(policy=self.policy.pk).count()
        return available, self.policy.pool.count() - available, entries

    def available(self) -> set[str]:
        """The texts of the available keys."""
        return set(self.policy.pool.available().values_list("key", flat=True))
