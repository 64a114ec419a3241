"""The cast of the tests: two companies with the same set-up. Rival's people must never see anything of Acme's."""

from dataclasses import dataclass, field

from accounts.models import Account, Token, User
from accounts.services import create_account
from licensing.models import License, Policy, Product
from pools.models import Key


@dataclass
class Company:
    """An account, its admin, a product, and two policies of it: one with a pool and one without."""

    account: Account
    admin: User
    admin_token: str
    product: Product
    policy: Policy
    unpooled: Policy
    tokens: dict = field(default_factory=dict)

    def user(self, role="user", **fields):
        """Return a user of the company, creating it at the first call with this email."""
        email = fields.pop("email", f"{role}@{self.account.slug}.test")
        return User.objects.filter(account=self.account, email=email).first() or User.objects.create_user(
            email, account=self.account, role=role, **fields
        )

    def another_product(self, name="Another"):
        return make_product(self.account, name)

    def bearer(self, role):
        """Return a bearer with a role: a user, the company's product, or a license of its pooled policy."""
        if role == "product":
            return self.product
        if role == "license":
            return License.objects.filter(policy=self.policy).first() or make_license(self.policy)
        return self.admin if role == "admin" else self.user(role)


def make_company(slug):
    account, admin, token = create_account(slug=slug, name=slug.title(), email=f"admin@{slug}.test")
    product = make_product(account, "Rocket")
    return Company(
        account=account,
        admin=admin,
        admin_token=token,
        product=product,
        policy=make_policy(product, "Pooled", use_pool=True),
        unpooled=make_policy(product, "Unpooled"),
    )


def make_product(account, name="Rocket", **fields):
    product = Product(account=account, name=name, **fields)
    product.validate_and_save()
    return product


def make_policy(product, name="Basic", **fields):
    policy = Policy(account=product.account, product=product, name=name, **fields)
    policy.validate_and_save()
    return policy


def make_license(policy, key="", **fields):
    license = License(account=policy.account, product=policy.product, policy=policy, **fields)
    license.key = key or f"LICENSE-{license.pk}"
    license.save()
    return license


def add_keys(policy, *texts):
    """Add keys to a policy's pool, in this order, and return them."""
    keys = [Key(account=policy.account, policy=policy, key=text) for text in texts]
    for key in keys:
        key.validate_and_save()
    return keys


def numbered(count):
    """Return the texts of `count` keys, in order: KEY-0001, KEY-0002, …"""
    return [f"KEY-{number:04}" for number in range(1, count + 1)]


def token_of(bearer):
    """Generate a token for a user, product or license, and return its text."""
    return Token.generate(bearer)[1]
