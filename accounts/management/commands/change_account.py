from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.audit import AuditContext
from accounts.models import Account, Activity
from accounts.services import change_account
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Changes the settings of an account that its API does not have."""

    examples = (
        "acme --mask-keys",
        "acme --no-mask-keys",
    )

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
        details: Activity.Details = {"fields": ["mask_keys"]}
        with transaction.atomic():
            change_account(found, "mask_keys")
            Activity.objects.record(Activity.Event.CHANGED, found, AuditContext.of_command(self), details=details)
        shown = "masked for" if mask_keys else "shown to"
        self.report(
            f"Account {found.slug}: keys of pools are {shown} roles that may not pop.",
            {"account": found.slug, "maskKeys": mask_keys},
        )
