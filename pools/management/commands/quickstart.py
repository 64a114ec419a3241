import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.urls import reverse

from accounts.models import Account, Token, User
from accounts.services import change_user, create_account
from keygen_site.management.options import name
from licensing.models import Policy, Product
from pools.models import Key

OPERATOR_EMAIL = "operator@demo.test"
DEMO_KEYS = 25


class Command(BaseCommand):
    """Creates a demo account with a filled pool, and prints how to use it.

    Running it again keeps existing data, but replaces the demo's token, which cannot be shown twice, and refills an
    empty pool.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--address",
            type=name,
            default="http://127.0.0.1:8000",
            help="URL of the server (default: http://127.0.0.1:8000)",
        )
        parser.add_argument("--new-password", action="store_true", help="give the operator a new password")

    @transaction.atomic
    def handle(self, *, address: str, new_password: bool, **options: Any) -> None:
        account = Account.objects.by_identifier("demo").first()
        if account is None:
            account, _, _ = create_account(slug="demo", name="Demo", email="admin@demo.test")
        password = self.create_operator(new_password)
        policy = self.fill_pool(account)
        token = self.replace_token(account)
        pool = f"{address}/v1/accounts/{account.slug}/policies/{policy.pk}/pool"
        self.stdout.write(
            f"\nConsole   {address}{reverse('admin:index')}\n"
            f"Login     {OPERATOR_EMAIL}\n"
            f"Password  {password or 'as printed the first time (--new-password sets a new one)'}\n"
            f"Account   {account.slug}\n"
            f"Token     {token}   (replaces the token of the last quickstart)\n\n"
            f"Pop a key:\n\n"
            f'  curl -X DELETE {pool} -H "Authorization: Bearer {token}"\n'
        )

    def create_operator(self, new_password: bool) -> str | None:
        """Create the superuser, and return the password. None if the superuser exists and keeps the password."""
        operator = User.objects.filter(account=None, email=OPERATOR_EMAIL).first()
        if operator and not new_password:
            return None
        password = secrets.token_urlsafe(12)
        if operator:
            change_user(operator, {"password": password})
        else:
            User.objects.create_superuser(OPERATOR_EMAIL, password)
        return password

    def fill_pool(self, account: Account) -> Policy:
        """Create the demo's product, policy and keys where they are missing, and return the policy."""
        product = account.products.filter(code="demo").first()
        if product is None:
            product = Product(account=account, name="Demo product", code="demo")
            product.validate_and_save()
        policy = product.policies.filter(use_pool=True).order_by("id").first()
        if policy is None:
            policy = Policy(account=account, product=product, name="The first thousand users", use_pool=True)
            policy.validate_and_save()
        if not policy.pool.available().exists():
            for _ in range(DEMO_KEYS):
                Key(account=account, policy=policy, key=f"DEMO-{secrets.token_hex(8).upper()}").validate_and_save()
        return policy

    def replace_token(self, account: Account) -> str:
        admin = account.users.filter(role=User.Role.ADMIN).order_by("id").first()
        Token.objects.filter(account=account, name="quickstart").delete()
        return Token.generate(admin, name="quickstart")[1]
