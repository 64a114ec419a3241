from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from accounts.services import change_account
from keygen_site.management.options import name


class Command(BaseCommand):
    """Changes the settings of an account that its API does not have.

    Exit codes: 0 changed, or nothing to change; 1 failed; 2 wrong usage.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", type=name, help="slug or id of the account")
        masks = parser.add_mutually_exclusive_group(required=True)
        masks.add_argument(
            "--mask-keys",
            action="store_true",
            dest="mask_keys",
            help="mask the keys of pools in the API for sales agents, support agents and read-only users",
        )
        masks.add_argument("--no-mask-keys", action="store_false", dest="mask_keys", help="show them these keys")

    def handle(self, *, account: str, mask_keys: bool, **options: Any) -> None:
        found = Account.objects.by_identifier(account).first()
        if found is None:
            raise CommandError(f"There is no account {account}.")
        found.mask_keys = mask_keys
        change_account(found, "mask_keys")
        shown = "masked for" if mask_keys else "shown to"
        self.stderr.write(f"Account {found.slug}: keys of pools are {shown} roles that may not pop.")
