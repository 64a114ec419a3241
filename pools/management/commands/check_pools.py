import sys
from collections import Counter
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from keygen_site.management.monitoring import UNKNOWN as EXIT_UNKNOWN
from keygen_site.management.monitoring import end_unknown
from keygen_site.management.project_command import EXIT_INTERRUPTED
from keygen_site.wording import count_of
from licensing.models import Policy
from pools.management.pool_command import PoolCommand

LEVELS = ("OK", "WARNING", "CRITICAL")  # by exit code


class Command(PoolCommand):
    """Checks whether pools run low, with the output and exit codes of a monitoring plugin (Nagios, Icinga).

    The performance data after the bar are the numbers of available keys, counted up to one more than --warn.
    """

    examples = ("--warn 100 --critical 10", '--policy "Summer sale" --account acme --warn 50 --json')
    exit_codes = {
        0: "OK: every pool has more keys than --warn",
        1: "WARNING: a pool has --warn keys or fewer",
        2: "CRITICAL: a pool has --critical keys or fewer",
        EXIT_UNKNOWN: "UNKNOWN, also after wrong usage or without a pool",
    }
    only_reads = True

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
            if isinstance(error, CommandError) and error.returncode == EXIT_INTERRUPTED:
                raise
            end_unknown(error, as_json=self.as_json)

    def fail(self, error: CommandError) -> NoReturn:
        if error.returncode == EXIT_INTERRUPTED:
            super().fail(error)
        end_unknown(error, as_json="--json" in sys.argv)  # wrong usage

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
        enough = "1 pool has enough keys" if len(pools) == 1 else f"{count_of(len(pools), 'pool')} have enough keys"
        data = " ".join(f"{quote_label(name)}={available};{warn};{critical};0" for name, available in pools)
        levels = [(available <= warn) + (available <= critical) for _, available in pools]
        level = max(levels)
        self.report(
            f"{LEVELS[level]}: {', '.join(low) or enough} | {data}",
            {
                "state": LEVELS[level],
                "warn": warn,
                "critical": critical,
                "pools": [
                    {
                        "account": policy.account.slug,
                        "policy": {"id": str(policy.pk), "name": policy.name},
                        "available": available,
                        "state": LEVELS[each],
                    }
                    for policy, available, each in zip(policies, counts, levels, strict=True)
                ],
            },
        )
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
