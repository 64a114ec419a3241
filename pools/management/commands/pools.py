import json

from rich.console import Console
from rich.table import Table

from licensing.models import Policy
from pools.management.pool_command import PoolCommand
from pools.services.statistics import count_pools, days_left

NUMBERS = ("available", "popped", "withdrawn", "day", "week")
HEADS = ("available", "popped", "withdrawn", "24 hours", "7 days", "days left")


class Command(PoolCommand):
    """Lists the pools: what is left in each, what has left it, lately too, and for how long it will do at that pace."""

    help = __doc__

    def add_arguments(self, parser):
        self.add_policy(parser, required=False)
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *, policy, account, **options):
        policies = Policy.objects.order_by("account__slug", "name", "id")
        if policy is not None:
            policies = policies.filter(pk=self.find_policy(policy=policy, account=account).pk)
        elif account is not None:
            policies = policies.filter(account=self.find_account(account))
        rows = [
            {
                "account": pool.policy.account.slug,
                "policy": {"id": str(pool.policy.pk), "name": pool.policy.name},
                **{name: getattr(pool, name) for name in NUMBERS},
                "daysLeft": days_left(pool.policy, pool.available, pool.week),
            }
            for pool in count_pools(policies)
        ]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        table = Table("account", "policy", box=None, pad_edge=False)
        for head in HEADS:
            table.add_column(head, justify="right")
        for row in rows:
            left = "" if row["daysLeft"] is None else f"{row['daysLeft']:,}"
            table.add_row(row["account"], row["policy"]["name"], *(f"{row[name]:,}" for name in NUMBERS), left)
        # Whole names where it is not a terminal: somebody may look for them.
        Console(file=self.stdout._out, width=None if self.stdout.isatty() else 200, markup=False).print(table)
