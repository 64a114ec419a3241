import dataclasses
import json

from django.core.management.base import CommandError

from keygen_site.jsonapi.errors import DomainError
from licensing.models import PoolEmpty
from pools.management.pool_command import PoolCommand
from pools.services.keys import pop_keys

EMPTY = 4


class Command(PoolCommand):
    """Takes the next key out of a pool and prints it, and nothing else. Nobody gets it again.

    Ends with 4 when the pool is empty, or holds fewer keys than --count asks for; then none is taken.
    """

    help = __doc__

    def add_arguments(self, parser):
        self.add_policy(parser)
        parser.add_argument("--count", type=int, default=1, help="how many, all or none (1)")
        parser.add_argument("--reference", default="", help="what for, e.g. an order number: kept in the ledger")
        parser.add_argument("--json", action="store_true", help="ids and keys as JSON")

    def handle(self, *, policy, account, count, reference, **options):
        if count < 1:
            raise CommandError("--count must be 1 or more.", returncode=2)
        self.check_label("--reference", reference)
        policy = self.find_policy(policy=policy, account=account)
        try:
            audit = dataclasses.replace(self.audit, reference=reference)
            keys = pop_keys(policy=policy, count=count, audit=audit)
        except PoolEmpty as error:
            raise CommandError(error.detail, returncode=EMPTY) from None
        except DomainError as error:
            raise CommandError(error.detail) from None
        if options["json"]:
            self.stdout.write(json.dumps([{"id": str(key.pk), "key": key.key} for key in keys]))
        else:
            self.stdout.write("\n".join(key.key for key in keys))
