import secrets

from django.core.management.base import BaseCommand
from django.db import transaction
from django.urls import reverse

from accounts.models import Account, Token, User
from accounts.services import create_account
from keygen_site.management.options import name
from licensing.models import Policy, Product
from pools.models import Key

OPERATOR = "operator@demo.test"
KEYS = 25


class Command(BaseCommand):
    """Makes a demo account with a filled pool, and says how to use it.

    Running it again changes nothing that is there, except that the demo's token is replaced (its text cannot be
    shown a second time) and that an empty pool is filled again.
    """

    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--address", type=name, default="http://127.0.0.1:8000", help="where the server answers")
        parser.add_argument("--new-password", action="store_true", help="give the operator a new password")

    @transaction.atomic
    def handle(self, *, address, new_password, **options):
        account = Account.objects.by_identifier("demo").first()
        if account is None:
            account, _, _ = create_account(slug="demo", name="Demo", email="admin@demo.test")
        password = self.operator_password(new_password)
        policy = self.filled_policy(account)
        token = self.token(account)
        pool = f"{address}/v1/accounts/{account.slug}/policies/{policy.pk}/pool"
        self.stdout.write(
            f"\nConsole   {address}{reverse('admin:index')}\n"
            f"Login     {OPERATOR}\n"
            f"Password  {password or 'as it was shown the first time (--new-password makes another)'}\n"
            f"Account   {account.slug}\n"
            f"Token     {token}   (replaces that of the last quickstart)\n\n"
            f"Take a key out of the pool:\n\n"
            f'  curl -X DELETE {pool} -H "Authorization: Bearer {token}"\n'
        )

    def operator_password(self, renew):
        """The password of the superuser, or None when they had one already."""
        operator = User.objects.filter(account=None, email=OPERATOR).first()
        if operator and not renew:
            return None
        password = secrets.token_urlsafe(12)
        if operator:
            operator.set_password(password)
            operator.save_changes("password")
        else:
            User.objects.create_superuser(OPERATOR, password)
        return password

    def filled_policy(self, account):
        product = account.products.filter(code="demo").first()
        if product is None:
            product = Product(account=account, name="Demo product", code="demo")
            product.validate_and_save()
        policy = product.policies.filter(use_pool=True).order_by("id").first()
        if policy is None:
            policy = Policy(account=account, product=product, name="The first thousand users", use_pool=True)
            policy.validate_and_save()
        if not policy.pool.available().exists():
            for _ in range(KEYS):
                Key(account=account, policy=policy, key=f"DEMO-{secrets.token_hex(8).upper()}").validate_and_save()
        return policy

    def token(self, account):
        admin = account.users.filter(role=User.Role.ADMIN).order_by("id").first()
        Token.objects.filter(account=account, name="quickstart").delete()
        return Token.generate(admin, name="quickstart")[1]
