import json
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console
from rich.table import Table

from licensing.models import Policy
from pools.management.pool_command import PoolCommand
from pools.services.statistics import count_pools, days_left

COUNTS = ("available", "popped", "withdrawn", "day", "week")
HEADINGS = ("available", "popped", "withdrawn", "24 hours", "7 days", "days left")


class Command(PoolCommand):
    """Lists the pools with their numbers of keys by state, recent pops, and days left at the rate of the last week."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser, required=False)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, policy: str | None, account: str | None, **options: Any) -> None:
        policies = Policy.objects.order_by("account__slug", "name", "id")
        if policy is not None:
            policies = policies.filter(pk=self.find_policy(policy=policy, account=account).pk)
        elif account is not None:
            policies = policies.filter(account=self.find_account(account))
        rows = [
            {
                "account": pool.policy.account.slug,
                "policy": {"id": str(pool.policy.pk), "name": pool.policy.name},
                **{name: getattr(pool, name) for name in COUNTS},
                "daysLeft": days_left(pool.policy, pool.available, pool.week),
            }
            for pool in count_pools(policies)
        ]
        if options["json"]:
            self.report(json.dumps(rows))
            return
        table = Table("account", "policy", box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        for row in rows:
            left = "" if row["daysLeft"] is None else f"{row['daysLeft']:,}"
            table.add_row(row["account"], row["policy"]["name"], *(f"{row[name]:,}" for name in COUNTS), left)
        # A pipe gets whole names, to search in.
        console = Console(width=None if self.stdout.isatty() else 200, markup=False)
        with console.capture() as capture:
            console.print(table)
        self.report(capture.get())
