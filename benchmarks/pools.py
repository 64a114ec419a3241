"""A filled pool to be emptied. Imported only when Django is set up."""

from uuid import uuid4

from accounts.models import Account
from accounts.services import create_account
from licensing.models import Policy, Product
from pools.models import Key, KeyEvent


class DemoPool:
    """A new policy with so many keys, in an account of its own; how to take from it, and what became of the keys."""

    def __init__(self, size):
        slug = f"bench-{uuid4().hex[:8]}"
        account, _, self.token = create_account(slug=slug, name=slug, email=f"admin@{slug}.test")
        product = Product(account=account, name="Benchmark")
        product.validate_and_save()
        policy = Policy(account=account, product=product, name="Benchmark", use_pool=True)
        policy.validate_and_save()
        keys = (Key(account=account, policy=policy, key=f"{slug}-{number:07}") for number in range(size))
        Key.objects.bulk_create(keys, batch_size=1000)
        self.account: Account = account
        self.policy, self.size = policy, size
        prefix = f"/v1/accounts/{slug}"
        linkage = {"policy": {"data": {"type": "policies", "id": str(policy.pk)}}}
        self.pop_request = ("DELETE", f"{prefix}/policies/{policy.pk}/pool")
        self.license_request = ("POST", f"{prefix}/licenses", {"data": {"type": "licenses", "relationships": linkage}})

    def counts(self):
        """`(keys left, keys popped, lines of the ledger)`."""
        left = self.policy.pool.available().count()
        return left, self.policy.pool.count() - left, KeyEvent.objects.filter(policy=self.policy.pk).count()

    def available(self):
        """The texts of the keys that still wait."""
        return set(self.policy.pool.available().values_list("key", flat=True))
