"""The cast of the tests: two companies with the same set-up. Rival's people must never see anything of Acme's."""

from dataclasses import dataclass, field

from accounts.audit import AuditContext
from accounts.models import Account, SigningKey, Token, User
from accounts.signing.algorithms import generate_private_key
from accounts.signing.key_cache import cached_private_key
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
    """Create a company as `create_account` and the API would, without most of their queries: most tests have one."""
    account = Account(slug=slug, name=slug.title(), protected=True)
    admin = User.objects.new_user(f"admin@{slug}.test", account=account, role=User.Role.ADMIN)
    product = Product(account=account, name="Rocket")
    policies = [
        Policy(account=account, product=product, name="Pooled", use_pool=True),
        Policy(account=account, product=product, name="Unpooled"),
    ]
    for policy in policies:
        policy.check_rules()  # sets defaults
    for row in (account, admin, product):
        row.save(force_insert=True)
    Policy.objects.bulk_create(policies)
    SigningKey.objects.create(account=account, kind="ed25519", private=generate_private_key("ed25519"))
    cached_private_key(account, "ed25519")  # as after the first response
    _, token = Token.generate(admin)
    return Company(account, admin, token, product, *policies)


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


def add_key(policy, text):
    """Add a key to a policy's pool and return it. Checks the rules of a key, as the API does."""
    key = Key(account=policy.account, policy=policy, key=text)
    key.validate_and_save()
    return key


def add_keys(policy, *texts):
    """Add keys to a policy's pool, in this order, and return them. Does not check the rules of a key."""
    return Key.objects.bulk_create(Key(account=policy.account, policy=policy, key=text) for text in texts)


def numbered(count):
    """Return the texts of `count` keys, in order: KEY-0001, KEY-0002, …"""
    return [f"KEY-{number:04}" for number in range(1, count + 1)]


def shop_audit(product, reference="Order 1", **fields):
    """Return the audit context of a request with a token of a product, named Shop EU."""
    token, _ = Token.generate(product, name="Shop EU")
    return AuditContext(
        bearer_type="products",
        bearer_id=product.pk,
        token_id=token.pk,
        token_name=token.name,
        reference=reference,
        **fields,
    )


def token_of(bearer):
    """Generate a token for a user, product or license, and return its text."""
    return Token.generate(bearer)[1]
