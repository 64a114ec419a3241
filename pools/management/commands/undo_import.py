from typing import Any

from django.core.management.base import CommandParser

from keygen_site.management.options import name
from pools.management.pool_command import ImportChangeCommand
from pools.services.import_changes import undo_import


class Command(ImportChangeCommand):
    """Undoes an import: deletes its keys that are available and undisclosed.

    Their texts can be added again. Can be interrupted and repeated, while keys are popped.
    """

    examples = (
        '"ACME PO 4711" --policy "Summer sale"',
        '0190f6a2-7c1e-7000-8000-000000000000 --policy "Summer sale" --reference "Ticket 12"',
    )
    participle = "removed"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_import", metavar="import", type=name, help="import: its id or name")
        self.add_policy(parser)
        self.add_reference(parser)

    def handle(self, *, policy: str, account: str | None, key_import: str, reference: str, **options: Any) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        found = self.find_import(pooled_policy, key_import)
        self.report_change(found, undo_import(key_import=found, audit=audit, on_progress=self.note_progress))
