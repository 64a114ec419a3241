import sys
from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.management.monitoring import end_unknown, say
from licensing.models import Policy
from pools.management.pool_command import PoolCommand

LEVELS = ("OK", "WARNING", "CRITICAL")  # by exit code


class Command(PoolCommand):
    """Checks whether pools run low, with the output and exit codes of a monitoring plugin (Nagios, Icinga).

    Exit codes: 0 every pool has more keys than --warn; 1 a pool has --warn keys or fewer; 2 a pool has --critical keys
    or fewer; 3 unknown, also after wrong usage or without a pool. The performance data after the bar are the numbers of
    available keys, counted up to one more than --warn.
    """

    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Wrong usage is raised, so that manage.py exits with 3; argparse would exit with 2, which means CRITICAL.
        parser.called_from_command_line = False
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser, required=False)
        parser.add_argument("--warn", type=int, default=100, help="number of keys for a warning (default: 100)")
        parser.add_argument(
            "--critical", type=int, default=10, help="number of keys for a critical state, at most --warn (default: 10)"
        )

    def execute(self, *args: Any, **options: Any) -> None:
        # Not in `handle`: the system checks, which may fail too, run before it.
        try:
            super().execute(*args, **options)
        except Exception as error:  # monitoring must not mistake any failure for a full or an empty pool
            end_unknown(error)

    def handle(self, *, policy: str | None, account: str | None, warn: int, critical: int, **options: Any) -> None:
        if not 0 <= critical <= warn:
            raise CommandError("--critical must be 0 or more, and no more than --warn.")
        policies = self.find_policies(policy, account)
        if not policies:
            raise CommandError("There is no policy with a pool.")
        # Counts no further than necessary.
        counts = [policy.pool.available_in_order().values("pk")[: warn + 1].count() for policy in policies]
        pools = list(zip(unique_names(policies), counts, strict=True))
        low = [f"{name} has {available}" for name, available in pools if available <= warn]
        enough = "1 pool has enough keys" if len(pools) == 1 else f"{len(pools)} pools have enough keys"
        data = " ".join(f"{quote_label(name)}={available};{warn};{critical};0" for name, available in pools)
        level = (min(counts) <= warn) + (min(counts) <= critical)
        say(f"{LEVELS[level]}: {', '.join(low) or enough} | {data}")
        if level:
            sys.exit(level)

    def find_policies(self, policy: str | None, account: str | None) -> list[Policy]:
        """The policies whose pools are checked, by name."""
        if policy is not None:
            return [self.find_policy(policy=policy, account=account)]
        policies = Policy.objects.filter(use_pool=True).select_related("account").order_by("name", "id")
        if account is not None:
            policies = policies.filter(account=self.find_account(account))
        return list(policies)


def unique_names(policies: list[Policy]) -> list[str]:
    """A unique name for each policy, for the output of a plugin: its account and its name.

    The id is added if several policies of an account have the same name.
    """
    names = [simplify(f"{policy.account.slug}/{policy.name}") for policy in policies]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name} ({policy.pk})" for name, policy in zip(names, policies, strict=True)]


def simplify(text: str) -> str:
    """A text on one line, without bars (they begin the performance data) and equals signs (they end a label)."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.replace("|", "/").replace("=", "-").split())


def quote_label(name: str) -> str:
    """A name as a label of performance data: in quotes, with inner quotes doubled."""
    inner = name.replace("'", "''")
    return f"'{inner}'"
