import dataclasses
import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from licensing.models import PoolEmpty
from pools.management.pool_command import PoolCommand
from pools.services.keys import pop_keys

EXIT_POOL_EMPTY = 4


class Command(PoolCommand):
    """Pops the next key of a pool and prints only the key. No other caller gets it.

    Exit code 4: the pool has fewer keys than --count, and none was popped.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser)
        parser.add_argument("--count", type=int, default=1, help="number of keys, all or none (default: 1)")
        parser.add_argument("--reference", default="", help="reference for the ledger, e.g. an order number")
        parser.add_argument("--json", action="store_true", help="print ids and keys as JSON")

    def handle(  # type: ignore[override]
        self, *, policy: str, account: str | None, count: int, reference: str, **options: Any
    ) -> None:
        if count < 1:
            raise CommandError("--count must be 1 or more.", returncode=2)
        self.check_label("--reference", reference)
        audit = dataclasses.replace(self.audit, reference=reference)
        try:
            keys = pop_keys(policy=self.find_policy(policy=policy, account=account), count=count, audit=audit)
        except PoolEmpty as error:
            raise CommandError(error.detail, returncode=EXIT_POOL_EMPTY) from None
        except DomainError as error:
            raise CommandError(error.detail) from None
        if options["json"]:
            self.stdout.write(json.dumps([{"id": str(key.pk), "key": key.key} for key in keys]))
        else:
            self.stdout.write("\n".join(key.key for key in keys))
