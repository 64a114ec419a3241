import sys
from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.management.monitoring import end_unknown, say
from licensing.models import Policy
from pools.management.pool_command import PoolCommand

STATES = ("OK", "WARNING", "CRITICAL")


class Command(PoolCommand):
    """Says whether a pool runs low, in a line and an exit code as monitoring systems expect them.

    0: each has more keys than --warn; 1: one has so many or fewer; 2: one has no more than --critical; 3: it could not
    be found out, also because of wrong usage or because there is no pool. What follows the bar is for graphs: how many
    keys are available, up to --warn.
    """

    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Wrong usage is raised, for manage.py to end with 3; argparse would end with 2, which says CRITICAL.
        parser.called_from_command_line = False
        return parser

    def add_arguments(self, parser):
        self.add_policy(parser, required=False)
        parser.add_argument("--warn", type=int, default=100, help="keys (100)")
        parser.add_argument("--critical", type=int, default=10, help="keys (10), no more than --warn")

    def execute(self, *args: Any, **options: Any) -> None:
        # Not only `handle`: the system checks come before it, and they may fail too.
        try:
            super().execute(*args, **options)
        except Exception as error:  # whatever it is: monitoring must not take it for a full or an empty pool
            end_unknown(error)

    def handle(self, *, policy, account, warn, critical, **options):
        if not 0 <= critical <= warn:
            raise CommandError("--critical must be 0 or more, and no more than --warn.")
        pools = self.find_pools(policy, account)
        if not pools:
            raise CommandError("There is no policy with a pool.")
        found, level = [], 0
        for name, pool in zip(names_of(pools), pools, strict=True):
            # No more is counted than has to be known.
            available = pool.pool.waiting().values("pk")[: warn + 1].count()
            worst = 2 if available <= critical else 1 if available <= warn else 0
            level = max(level, worst)
            found.append((worst, name, available))
        low = [f"{name} has {available}" for worst, name, available in found if worst]
        enough = "1 pool has enough keys" if len(found) == 1 else f"{len(found)} pools have enough keys"
        graphs = " ".join(f"{label_of(name)}={available};{warn};{critical};0" for _, name, available in found)
        say(f"{STATES[level]}: {', '.join(low) or enough} | {graphs}")
        if level:
            sys.exit(level)

    def find_pools(self, policy: str | None, account: str | None) -> list[Policy]:
        """The policies whose pools are looked at, by name."""
        if policy is not None:
            return [self.find_policy(policy=policy, account=account)]
        policies = Policy.objects.filter(use_pool=True).select_related("account").order_by("name", "id")
        if account is not None:
            policies = policies.filter(account=self.find_account(account))
        return list(policies)


def names_of(policies: list[Policy]) -> list[str]:
    """Return a unique name for each policy, fit for the output of a plugin: its account and its name.

    The id follows where one account has several policies of that name.
    """
    names = [plain(f"{policy.account.slug}/{policy.name}") for policy in policies]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name} ({policy.pk})" for name, policy in zip(names, policies, strict=True)]


def plain(text: str) -> str:
    """Return a text on one line, without bars (they begin the performance data) and equals signs (they end a label)."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.replace("|", "/").replace("=", "-").split())


def label_of(name: str) -> str:
    """Return a name as a label of performance data: in quotes, inner ones doubled."""
    inner = name.replace("'", "''")
    return f"'{inner}'"
