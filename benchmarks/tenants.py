"""Measures whether many accounts and pools are as fast as one, and many clients as few.

    python -m benchmarks.tenants [--database postgresql|sqlite] [--accounts 2000] [--pools 5] [--json FILE]

Pops at random from the pools of many accounts, each with a token of its own, and, in turn, from a single pool: by as
many clients, by 8 and by 64. Prints the rates and the memory of the workers. Exits with 1 if many pools have less than
0.85 of the rate of one, 64 clients less than 0.9 of that of 8, or if a worker needs more than 150 MiB.
"""

import argparse
import json
import random
import sys
from argparse import Namespace
from statistics import median
from typing import Any

from benchmarks.imports import make_row, peak_memory_of, print_rows
from benchmarks.load import run
from benchmarks.servers import database, server

CONNECTIONS, ROUNDS, SECONDS = 16, 5, 5.0
WARM_UPS = 6  # pops of each account, so that each worker has served it
MAX_RATE = 2_000  # of pops in a second, for the number of keys of the single pool
FEW, MANY = 8, 64  # connections
MIN_RATIO, MIN_RATIO_OF_CLIENTS, MAX_MEMORY_MIB = 0.85, 0.9, 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--pools", type=int, default=5, help="of each account")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database(options.database):
        rows = measure(options)
    print_rows(rows)
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


def measure(options: Namespace) -> list[dict[str, Any]]:
    """Measure both in turn; returns rows made by `make_row()`."""
    from benchmarks.pools import DemoPool  # after django.setup()

    warm_up = WARM_UPS * options.accounts
    one = DemoPool(int(MAX_RATE * 3 * ROUNDS * SECONDS) + warm_up)
    from_one = pop_requests([(one.account.slug, one.token, one.policy.pk)])
    keys_of_each = 2 * one.size // (options.accounts * options.pools) + 1
    from_many = pop_requests(add_tenants(options, keys_of_each))
    workloads = {
        "one pool": (from_one, CONNECTIONS),
        "many pools": (from_many, CONNECTIONS),
        "few clients": (from_one, FEW),
        "many clients": (from_one, MANY),
    }
    rates: dict[str, list[float]] = {name: [] for name in workloads}
    with server() as running:
        for requests in (from_one, from_many):
            popped = 0
            while popped < warm_up:
                random.shuffle(requests)
                popped += run(running, requests, SECONDS, CONNECTIONS)["requests"]
        for _ in range(ROUNDS):
            for name, (requests, connections) in workloads.items():
                random.shuffle(requests)
                figures = run(running, requests, SECONDS, connections)
                if figures["other"]:
                    raise RuntimeError(f"{name}: {figures['statuses']}")
                rates[name].append(figures["rate"])
        memory = max(peak_memory_of(process) for process in running.workers())
    single, many, few_clients, many_clients = (median(taken) for taken in rates.values())
    print(f"{options.database}: {options.accounts:,} accounts with {options.pools} pools each")
    print(f"{CONNECTIONS} clients: one pool {single:.0f} pops a second, many pools {many:.0f}")
    print(f"one pool: {FEW} clients {few_clients:.0f} pops a second, {MANY} clients {many_clients:.0f}")
    return [
        make_row("many pools: rate to that of one", many / single, least=MIN_RATIO),
        make_row("64 clients: rate to that of 8", many_clients / few_clients, least=MIN_RATIO_OF_CLIENTS),
        make_row("memory of a worker, MiB", memory, most=MAX_MEMORY_MIB),
    ]


def pop_requests(pools: list[tuple[str, str, Any]]) -> list[list[Any]]:
    """The requests of pops from pools, each given by the account's slug, a token and the id of the policy."""
    return [
        ["DELETE", f"/v1/accounts/{slug}/policies/{policy}/pool", {"Authorization": f"Bearer {token}"}, ""]
        for slug, token, policy in pools
    ]


def add_tenants(options: Namespace, keys: int) -> list[tuple[str, str, Any]]:
    """Add accounts with pools of some keys each, and a token of each account's admin."""
    from accounts.models import Account, Token, User
    from licensing.models import Policy, Product
    from pools.models import Key

    made = []
    for number in range(options.accounts):
        account = Account(slug=f"tenant-{number}", name=f"Tenant {number}")
        account.validate_and_save()
        admin = User.objects.create(account=account, email=f"admin{number}@bench.test", role=User.Role.ADMIN)
        _, token = Token.generate(admin)
        product = Product.objects.create(account=account, name="Product")
        policies = Policy.objects.bulk_create(
            Policy(account=account, product=product, name=f"Pool {each}", use_pool=True, protected=False)
            for each in range(options.pools)
        )
        Key.objects.bulk_create(
            Key(account=account, policy=policy, key=f"{account.slug}-{policy.name}-{number:06}")
            for policy in policies
            for number in range(keys)
        )
        made += [(account.slug, token, policy.pk) for policy in policies]
    return made


if __name__ == "__main__":
    main()
