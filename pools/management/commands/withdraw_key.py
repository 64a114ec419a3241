from typing import Any

from django.core.management.base import CommandParser

from keygen_site.jsonapi.errors import DomainError
from pools.management.pool_command import PoolCommand
from pools.services.keys import withdraw_key


class Command(PoolCommand):
    """Withdraws a key permanently: an available one, or a popped one that was refunded, is defective or leaked."""

    examples = (
        '0190f6a2-7c1e-7000-8000-000000000000 --policy "Summer sale" --reason refunded --suspend-license',
        '- --policy "Summer sale" --reason leaked < key.txt',
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_key(parser)
        self.add_policy(parser)
        self.add_reference(parser)
        self.add_reason(parser, "refunded")
        parser.add_argument("--suspend-license", action="store_true", help="also suspend the license that has the key")

    def handle(
        self, *, policy: str, account: str | None, key: str, reference: str, reason: str, **options: Any
    ) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        self.check_label("--reason", reason)
        text = self.find_key(pooled_policy, key)
        try:
            withdrawn = withdraw_key(
                policy=pooled_policy, text=text, audit=audit, reason=reason, suspend_license=options["suspend_license"]
            )
        except DomainError as error:
            raise self.refusal(error, pooled_policy) from None
        self.report_key(withdrawn, "is withdrawn")
