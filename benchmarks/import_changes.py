"""Moves and undoes a large import while clients pop keys of the same pool.

    python -m benchmarks.import_changes [--keys 1000000] [--clients 8] [--database postgresql] [--json FILE]

The import is the oldest of its pool, so that the pops take their keys from the same place as the change. A younger
import, of a fifth of the size, remains for them afterwards. First `manage.py move_import` moves the import to
another pool, then `manage.py undo_import` removes it there, both while clients pop from that pool over HTTP. Prints the
time of each, the pops meanwhile, how many of them were refused (any response but 200), and the longest.

Exit code 1 if a pop was refused or took more than --longest seconds, or if a key was handed out twice or lost.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Any

from benchmarks.clients import Client, Response, run_in_threads
from benchmarks.servers import ROOT, database, server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds that a pop may take (default: 2)")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database(options.database), server() as running:
        rows = measure(running.port, options.keys, options.clients)
    for row in rows:
        print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(
        0 if all(not row["refused"] and row["longest s"] <= options.longest and row["sound"] for row in rows) else 1
    )


def measure(port: int, count: int, clients: int) -> list[dict[str, Any]]:
    """The figures of the move and of the undo."""
    from benchmarks.pools import DemoPool
    from licensing.models import Policy

    pool = DemoPool(0)
    other = Policy(account=pool.account, product=pool.policy.product, name="Other", use_pool=True)
    other.validate_and_save()
    key_import = fill(pool.policy, "old", count)
    fill(pool.policy, "young", count // 5)
    rows = [run("move_import", pool.policy, key_import, port, pool.token, clients, "--to", str(other.pk))]
    moved = other.key_imports.get()
    fill(other, "other", count // 5)
    return [*rows, run("undo_import", other, moved, port, pool.token, clients)]


def fill(policy: Any, name: str, count: int) -> Any:
    """Import keys into a pool, and return the import."""
    from accounts.audit import AuditContext
    from pools.key_files import Line
    from pools.services.imports import import_keys

    def lines() -> Iterator[Line]:
        return (Line(number, f"{name}-{number:08}-{policy.pk.hex[-6:]}") for number in range(1, count + 1))

    return import_keys(policy=policy, files=[lines()], audit=AuditContext(operator="benchmark")).key_import


def run(
    command: str, policy: Any, key_import: Any, port: int, token: str, clients: int, *arguments: str
) -> dict[str, Any]:
    """Run a command about an import while clients pop from its pool."""
    from pools.models import Key

    path, ended = f"/v1/accounts/{policy.account.slug}/policies/{policy.pk}/pool", Event()

    def pop() -> list[Response]:
        client, responses = Client(port, token), []
        while not ended.is_set():
            responses.append(client.send("DELETE", path))
        return responses

    def change() -> tuple[float, str]:
        began = monotonic()
        names = [command, str(key_import.pk), "--policy", str(policy.pk), *arguments]
        try:
            process = subprocess.run(
                [sys.executable, "manage.py", *names], cwd=ROOT, check=True, capture_output=True, text=True
            )
        finally:
            ended.set()
        return monotonic() - began, process.stdout.strip()

    before = policy.pool.available().count()
    popped_before = policy.pool.exclude(popped=None).count()
    functions: list[Any] = [change, *[pop] * clients]
    (seconds, report), *popped = run_in_threads(functions)
    responses: list[Response] = [response for each in popped for response in each]
    texts = [response.key for response in responses if response.status == 200]
    left = policy.pool.available().count()
    changed = before - left - len(texts)
    print(report, flush=True)
    return {
        "command": command,
        "keys changed": changed,
        "seconds": round(seconds, 1),
        "pops": len(responses),
        "refused": sum(response.status != 200 for response in responses),
        "longest s": round(max(response.ended - response.began for response in responses), 3),
        "sound": len(set(texts)) == len(texts)
        and policy.pool.exclude(popped=None).count() == popped_before + len(texts)
        and not Key.objects.filter(key_import=key_import).available().exists(),
    }


if __name__ == "__main__":
    main()
