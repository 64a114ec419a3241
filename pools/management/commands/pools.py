from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console, RenderableType
from rich.table import Table

from licensing.models import Policy
from pools.management.pool_command import PoolCommand
from pools.services.statistics import count_pools, days_left

# Attributes of a pool, by their names in JSON.
COUNTS = {
    "available": "available",
    "popped": "popped",
    "withdrawn": "withdrawn",
    "poppedLastDay": "day",
    "poppedLastWeek": "week",
}
HEADINGS = ("available", "popped", "withdrawn", "24 hours", "7 days", "days left")


class Command(PoolCommand):
    """Lists the pools with their numbers of keys by state, recent pops, and days left at the rate of the last week."""

    examples = ("", "--account acme", '--policy "Summer sale" --json')
    only_reads = True

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser, required=False)

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
                **{name: getattr(pool, attribute) for name, attribute in COUNTS.items()},
                "daysLeft": days_left(pool.policy, pool.available, pool.week),
            }
            for pool in count_pools(policies)
        ]
        # A pipe gets whole names, to search in.
        console = Console(width=None if self.stdout.isatty() else 200, markup=False, highlight=False)
        with console.capture() as capture:
            console.print(table_of(rows, console))
        self.report(capture.get(), {"pools": rows})


def table_of(rows: list[dict[str, Any]], console: Console) -> RenderableType:
    """The pools as a table, or one below the other if the terminal is too narrow for it."""
    table = Table("account", "policy", box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    lists = []
    for row in rows:
        numbers = [*(f"{row[name]:,}" for name in COUNTS), describe_days_left(row)]
        table.add_row(row["account"], row["policy"]["name"], *numbers)
        counts = "\n".join(f"  {heading:<10} {number:>12}" for heading, number in zip(HEADINGS, numbers, strict=True))
        lists.append(f"{row['account']}  {row['policy']['name']}\n{counts}")
    is_narrow = table.__rich_measure__(console, console.options.update(width=1_000)).maximum > console.width
    return "\n\n".join(lists) if is_narrow else table


def describe_days_left(row: dict[str, Any]) -> str:
    if row["daysLeft"] is None:
        return ""
    return "<1" if row["daysLeft"] == 0 and row["available"] else f"{row['daysLeft']:,}"
