from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from licensing.models import PoolEmpty
from pools.management.pool_command import PrintingCommand
from pools.services.keys import pop_keys

EXIT_POOL_EMPTY = 4


class Command(PrintingCommand):
    """Pops the next key of a pool and prints only the key. No other caller gets it.

    Exit codes: 4 the pool has fewer keys than --count, and none was popped; 5 keys were popped and could not be
    printed: their ids are on standard error.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser)
        parser.add_argument("--count", type=int, default=1, help="number of keys, all or none (default: 1)")
        self.add_reference(parser)
        parser.add_argument("--json", action="store_true", help="print ids and keys as JSON")

    def handle(self, *, policy: str, account: str | None, count: int, reference: str, **options: Any) -> None:
        if count < 1:
            raise CommandError("--count must be 1 or more.", returncode=2)
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        try:
            self.hand_out(
                lambda: pop_keys(policy=pooled_policy, count=count, audit=audit), pooled_policy, as_json=options["json"]
            )
        except PoolEmpty as error:
            raise CommandError(error.detail, returncode=EXIT_POOL_EMPTY) from None
        except DomainError as error:
            raise CommandError(error.detail) from None
