from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import count as at_least_one
from keygen_site.management.project_command import EXIT_NOT_WRITTEN
from keygen_site.wording import count_of
from licensing.models import PoolEmpty
from pools.management.printing_command import PrintingCommand
from pools.services.keys import pop_keys

EXIT_POOL_EMPTY = 4


class Command(PrintingCommand):
    """Pops the next key of a pool and prints only the key. No other caller gets it."""

    examples = (
        '--policy "Summer sale" --reference "Order 4711"',
        '--policy "Summer sale" --account acme --count 10 --json',
    )
    exit_codes = {
        EXIT_POOL_EMPTY: "the pool has fewer keys than --count, and none was popped",
        EXIT_NOT_WRITTEN: "keys were popped and could not be printed: their ids are on standard error",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser)
        parser.add_argument("--count", type=at_least_one, default=1, help="number of keys, all or none (default: 1)")
        self.add_reference(parser)

    def handle(self, *, policy: str, account: str | None, count: int, reference: str, **options: Any) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        try:
            self.hand_out(lambda: pop_keys(policy=pooled_policy, count=count, audit=audit), pooled_policy)
        except PoolEmpty as error:
            left = count_of(pooled_policy.pool.available().count(), "key")
            raise CommandError(
                f"{pooled_policy.name}: {error.detail} ({left} left).", returncode=EXIT_POOL_EMPTY
            ) from None
        except DomainError as error:
            raise CommandError(error.detail) from None
