import os
import re
import secrets
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.urls import reverse

from accounts.models import Account, Token, User, find_token
from accounts.services import change_user, create_account, give_operator_access
from keygen_site.management.options import name, path
from keygen_site.management.project_command import ProjectCommand
from licensing.models import Policy, Product
from pools.models import Key

ADMIN_EMAIL = "admin@demo.test"
DEMO_KEYS = 25
AS_BEFORE = "as printed the first time"


class Command(ProjectCommand):
    """Creates a demo account with a filled pool, and prints how to use it.

    Running it again changes nothing but an empty pool, which it refills: passwords and tokens stay as they are.
    """

    examples = ("", "--address https://keys.example.com --new-password", "--new-token --json")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--address",
            type=name,
            default=f"http://127.0.0.1:{os.environ.get('PORT', '8000')}",
            help="URL of the server (default: http://127.0.0.1 with the port of the variable PORT, or 8000)",
        )
        parser.add_argument("--new-password", action="store_true", help="give the demo's admin a new password")
        parser.add_argument("--new-token", action="store_true", help="make another token; those in use stay valid")
        parser.add_argument(
            "--remember",
            type=path,
            metavar="FILE",
            help="keep what is printed in this file, which only you can read, as variables of a shell",
        )

    @transaction.atomic
    def handle(
        self, *, address: str, new_password: bool, new_token: bool, remember: str | None, **options: Any
    ) -> None:
        account = Account.objects.by_identifier("demo").first()
        if account is None:
            account, _, _ = create_account(slug="demo", name="Demo", email=ADMIN_EMAIL)
        admin = account.users.filter(role=User.Role.ADMIN).order_by("id").get()
        known = _read(remember)
        password = known.get("PASSWORD", "")
        if new_password or not admin.has_usable_password():
            password = self.set_password(admin)
        elif not admin.check_password(password):
            password = ""
        policy = self.fill_pool(account)
        token = self.find_or_make_token(account, admin, known.get("TOKEN", ""), new_token)
        api = f"{address}/v1/accounts/{account.slug}"
        known = {"API": api, "EMAIL": admin.email, "PASSWORD": password, "TOKEN": token, "POLICY": str(policy.pk)}
        _write(remember, known)
        pool = f"{api}/policies/{policy.pk}/pool"
        shown = token or "$TOKEN"
        self.report(
            f"\nConsole   {address}{reverse('admin:index')}\n"
            f"Email     {admin.email}\n"
            f"Password  {password or f'{AS_BEFORE} (quickstart --new-password sets another)'}\n"
            f"Account   {account.slug}\n"
            f"Token     {token or f'{AS_BEFORE} (quickstart --new-token makes another)'}\n"
            f"API docs  {address}{reverse('docs')}\n\n"
            f"Take a key out of the pool:\n\n"
            f'  curl -X DELETE {pool} -H "Authorization: Bearer {shown}"\n',
            {
                "console": f"{address}{reverse('admin:index')}",
                "docs": f"{address}{reverse('docs')}",
                "api": api,
                "account": account.slug,
                "email": admin.email,
                "password": password or None,
                "token": token or None,
                "policy": str(policy.pk),
            },
        )

    def set_password(self, admin: User) -> str:
        """Give the demo's admin a random password, and return it. The admin may use the console, as an Operator."""
        password = secrets.token_urlsafe(12)
        change_user(admin, {"password": password})
        give_operator_access(admin)
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

    def find_or_make_token(self, account: Account, admin: User, known: str, is_new: bool) -> str:
        """The text of a token of the demo's admin: the known one, or a new one if there is none or one is wanted.

        Empty if there is one whose text is not known.
        """
        tokens = Token.objects.filter(account=account, name="quickstart")
        if known and not is_new and (found := find_token(known)) and found.account_id == account.pk:
            return known
        if tokens.exists() and not is_new:
            return ""
        return Token.generate(admin, name="quickstart", expiry=None)[1]


def _read(remember: str | None) -> dict[str, str]:
    """The variables that an earlier run has kept; none if it kept nothing, or the file is not readable."""
    if remember is None:
        return {}
    try:
        text = Path(remember).read_text()
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(re.findall(r"^export ([A-Z]+)='([^']*)'$", text, re.MULTILINE))


def _write(remember: str | None, variables: dict[str, str]) -> None:
    """Keep variables in a file that a shell can read; their values have no quotes."""
    if remember is None:
        return
    with open(remember, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.writelines(f"export {name}='{value}'\n" for name, value in variables.items())
