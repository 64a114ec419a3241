from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.project_command import EXIT_NOT_WRITTEN
from licensing.models import PoolEmpty
from pools.management.commands.pop_key import EXIT_POOL_EMPTY
from pools.management.printing_command import PrintingCommand
from pools.services.keys import replace_key


class Command(PrintingCommand):
    """Withdraws a popped key, pops the next one of its pool in its place, and prints only the new key.

    The license that has the key gets the new one.
    """

    examples = (
        '0190f6a2-7c1e-7000-8000-000000000000 --policy "Summer sale" --reason defective',
        '- --policy "Summer sale" --reference "Ticket 12" < key.txt',
    )
    exit_codes = {
        EXIT_POOL_EMPTY: "the pool is empty, and nothing was changed",
        EXIT_NOT_WRITTEN: "the new key could not be printed: its id is on standard error",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_key(parser)
        self.add_policy(parser)
        self.add_reference(parser)
        self.add_reason(parser, "defective")

    def handle(
        self, *, policy: str, account: str | None, key: str, reference: str, reason: str, **options: Any
    ) -> None:
        audit, pooled_policy = self.audit_with(reference), self.find_policy(policy=policy, account=account)
        self.check_label("--reason", reason)
        text = self.find_key(pooled_policy, key)
        try:
            self.hand_out(
                lambda: [replace_key(policy=pooled_policy, text=text, audit=audit, reason=reason)],
                pooled_policy,
            )
        except PoolEmpty as error:
            raise CommandError(f"{pooled_policy.name}: {error.detail}.", returncode=EXIT_POOL_EMPTY) from None
        except DomainError as error:
            raise self.refusal(error, pooled_policy) from None
