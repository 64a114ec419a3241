from typing import Any

from django.core.management.base import CommandParser

from keygen_site.management.options import name
from pools.management.pool_command import PoolCommand
from pools.services.import_changes import undo_import


class Command(PoolCommand):
    """Undoes an import: deletes its keys that are available and undisclosed.

    Their texts can be added again. Can be interrupted and repeated, while keys are popped.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_import", metavar="import", type=name, help="import: its id or name")
        self.add_policy(parser)
        self.add_reference(parser)

    def handle(self, *, policy: str, account: str | None, key_import: str, reference: str, **options: Any) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        result = undo_import(key_import=self.find_import(pooled_policy, key_import), audit=audit)
        self.report(f"{result.changed:,} keys were removed. {result.describe_left()}")
