from typing import Any

from django.core.management.base import CommandParser

from keygen_site.management.options import name
from pools.management.pool_command import ImportChangeCommand
from pools.services.import_changes import withdraw_import


class Command(ImportChangeCommand):
    """Withdraws the available keys of an import permanently.

    Can be interrupted and repeated, while keys are popped.
    """

    examples = ('"ACME PO 4711" --policy "Summer sale" --reason leaked',)
    participle = "withdrawn"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_import", metavar="import", type=name, help="import: its id or name")
        self.add_policy(parser)
        self.add_reference(parser)
        self.add_reason(parser, "leaked")

    def handle(
        self, *, policy: str, account: str | None, key_import: str, reference: str, reason: str, **options: Any
    ) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        self.check_label("--reason", reason)
        withdrawn = self.find_import(pooled_policy, key_import)
        result = withdraw_import(key_import=withdrawn, audit=audit, reason=reason, on_progress=self.note_progress)
        self.report_change(withdrawn, result)
