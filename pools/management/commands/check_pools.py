import sys

from licensing.models import Policy
from pools.management.policies import PolicyCommand

STATES = ("OK", "WARNING", "CRITICAL")


class Command(PolicyCommand):
    """Says whether a pool runs low, in a line and an exit code as monitoring systems expect them.

    0: each has more keys than --warn; 1: one has so many or fewer; 2: one has no more than --critical; 3: it could not
    be found out. What follows the bar is for graphs: how many keys are available, up to --warn.
    """

    help = __doc__

    def add_arguments(self, parser):
        self.add_policy(parser, required=False)
        parser.add_argument("--warn", type=int, default=100, help="keys (100)")
        parser.add_argument("--critical", type=int, default=10, help="keys (10)")

    def handle(self, *, policy, account, warn, critical, **options):
        try:
            level, said = self.check(policy, account, warn, critical)
        except Exception as error:  # whatever it is: monitoring must not take it for a full or an empty pool
            level, said = 3, f"UNKNOWN: {' '.join(str(error).split())}"
        self.stdout.write(said)
        if level:
            sys.exit(level)

    def check(self, policy, account, warn, critical):
        policies = Policy.objects.filter(use_pool=True).order_by("name", "id")
        if policy:
            policies = policies.filter(pk=self.find_policy(policy=policy, account=account).pk)
        elif account:
            policies = policies.filter(account=self.find_account(account))
        found, level = [], 0
        for pool in policies:
            # No more is counted than has to be known.
            available = pool.pool.waiting().values("pk")[: max(warn, critical) + 1].count()
            worst = 2 if available <= critical else 1 if available <= warn else 0
            level = max(level, worst)
            found.append((worst, pool.name, available))
        low = [f"{name} has {available}" for worst, name, available in found if worst]
        said = f"{STATES[level]}: {', '.join(low) if low else f'{len(found)} pools have enough keys'}"
        graphs = " ".join(f"'{name}'={available};{warn};{critical};0" for _, name, available in found)
        return level, f"{said} | {graphs}" if graphs else said
