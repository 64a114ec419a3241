from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from pools.management.pool_command import PoolCommand
from pools.services.keys import UndeliveredRequired, return_key


class Command(PoolCommand):
    """Returns a popped key that was not delivered to its pool, where it is the next to be popped.

    Refused if the key was issued with a license, or was shown or exported.
    """

    examples = (
        '0190f6a2-7c1e-7000-8000-000000000000 --policy "Summer sale" --undelivered',
        '- --policy "Summer sale" --undelivered --reference "Order 4711" < key.txt',
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_key(parser)
        self.add_policy(parser)
        self.add_reference(parser)
        parser.add_argument(
            "--undelivered", action="store_true", help="confirm that the key reached no one; without it nothing is done"
        )

    def handle(self, *, policy: str, account: str | None, key: str, reference: str, **options: Any) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        text = self.find_key(pooled_policy, key)
        try:
            returned = return_key(policy=pooled_policy, text=text, undelivered=options["undelivered"], audit=audit)
        except UndeliveredRequired:
            raise CommandError("Confirm with --undelivered that the key reached no one.", returncode=2) from None
        except DomainError as error:
            raise self.refusal(error, pooled_policy) from None
        self.report_key(returned, "is available again")
