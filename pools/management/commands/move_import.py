from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import name
from pools.management.pool_command import ImportChangeCommand
from pools.services.import_changes import move_import


class Command(ImportChangeCommand):
    """Moves the available keys of an import to the pool of another policy of the account.

    Can be interrupted and repeated, while keys are popped.
    """

    examples = ('"ACME PO 4711" --policy "Summer sale" --to "Winter sale"',)
    participle = "moved"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_import", metavar="import", type=name, help="import: its id or name")
        self.add_policy(parser)
        parser.add_argument("--to", type=name, required=True, help="policy of the other pool, as for --policy")
        self.add_reference(parser)

    def handle(
        self, *, policy: str, account: str | None, key_import: str, to: str, reference: str, **options: Any
    ) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        moved = self.find_import(pooled_policy, key_import)
        destination = self.find_policy(policy=to, account=str(pooled_policy.account_id))
        try:
            result = move_import(key_import=moved, destination=destination, audit=audit, on_progress=self.note_progress)
        except DomainError as error:
            raise CommandError(f"--to {error.detail}.", returncode=2) from None
        self.report_change(moved, result, f" to the pool of {destination.name!r}")
