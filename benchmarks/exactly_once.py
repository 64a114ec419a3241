"""Checks that every key of a pool is handed out, and none twice, while many clients empty it.

    python -m benchmarks.exactly_once [--database postgresql|sqlite] [--pooler] [--keys 10000] [--clients 32]
        [--json FILE]
    python -m benchmarks.exactly_once --against http://127.0.0.1:3000 --account ID --token-file FILE [--keys 300]
        [--clients 16] [--yes-really]

Clients empty three pools: by pops, by creating licenses, and by both. A fourth is the negative control: a server whose
pop is not atomic, which the check must detect. Exits with 1 if a check fails.

With --against, clients empty a pool of a running server that speaks the API, ours or another one: the program makes a
product with a policy and keys, pops them, prints which keys were handed out twice, lost or
refused, and deletes the product. The token is an admin's. Addresses must be of this machine or a private network.
"""

import argparse
import json
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.against import MAX_CLIENTS, MAX_KEYS, parse_url, race
from benchmarks.clients import Client, Response, run_in_threads
from benchmarks.servers import database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

REFUSALS_PER_CLIENT = 5  # responses "pool is empty" after which a client stops
THREADS = 4  # per worker: the first worker to start may accept all connections, and must serve them concurrently


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--keys", type=int, help="10000; 300 with --against")
    parser.add_argument("--clients", type=int, help="32; 16 with --against")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pooler", action="store_true", help="through PgBouncer in transaction mode")
    parser.add_argument("--json", type=argparse.FileType("w"))
    parser.add_argument("--against", metavar="URL", help="race against a running server")
    parser.add_argument("--account", help="the account there, its id or slug")
    parser.add_argument("--token-file", type=argparse.FileType(), help="a file with a token of an admin there")
    parser.add_argument("--yes-really", action="store_true", help="also against a public address")
    options = parser.parse_args()
    if options.against:
        race_against(parser, options)
        return
    options.keys, options.clients = options.keys or 10_000, options.clients or 32
    if options.pooler and options.database == "sqlite":
        parser.error("SQLite has no connections to pool")
    with database(options.database, options.pooler):
        from benchmarks.pools import DemoPool  # after django.setup()

        rows = []
        with server(options.workers, threads=THREADS) as running:
            for way in ("pop", "license", "mixed"):
                rows.append({"way": way, **empty(DemoPool(options.keys), running.port, way, options.clients)})
                print_row(rows[-1])
        with server(options.workers, "benchmarks.non_atomic_claim_wsgi", THREADS) as running:
            control = {"way": "control", **empty(DemoPool(options.keys // 10), running.port, "pop", options.clients)}
            print_row(control)
    honest = all(is_right(row) for row in rows)
    is_detected = not is_right(control)
    print(f"exactly once: {honest}; non-atomic pop detected: {is_detected}")
    if options.json:
        json.dump({"database": options.database, "rows": [*rows, control]}, options.json, indent=2)
    sys.exit(0 if honest and is_detected else 1)


def race_against(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Run the race against a running server, and print the figures. Exits with 1 if a key went to two callers."""
    keys, clients = options.keys or 300, options.clients or 16
    if not (options.account and options.token_file):
        parser.error("--against needs --account and --token-file")
    if not (0 < keys <= MAX_KEYS and 0 < clients <= MAX_CLIENTS):
        parser.error(f"at most {MAX_KEYS} keys and {MAX_CLIENTS} clients, and at least one")
    try:
        url = parse_url(options.against, may_be_public=options.yes_really)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    row = race(url, options.account, options.token_file.read().strip(), keys, clients)
    print_row(row)
    if options.json:
        json.dump(row, options.json, indent=2)
    sys.exit(1 if row["to two or more callers"] or row["lost"] else 0)


def empty(pool: "DemoPool", port: int, way: str, clients: int) -> dict[str, Any]:
    """Empty a pool by concurrent clients, and compare their keys with the database.

    Args:
        way: `pop`, `license`, or `mixed`.
    """

    def work(number: int) -> list[Response]:
        client, refusals = Client(port, pool.token), 0
        responses: list[Response] = []
        while refusals < REFUSALS_PER_CLIENT:
            pops = way == "pop" or (way == "mixed" and number % 2)
            response = client.send(*pool.pop_request) if pops else client.send(*pool.license_request)
            responses.append(response)
            refusals += response.status >= 400
        return responses

    by_client = run_in_threads([partial(work, number) for number in range(clients)])
    responses = [response for responses in by_client for response in responses]
    handed_out = Counter(response.key for response in responses if response.status < 300)
    refused = [response for response in responses if response.status == 422]
    first_refusal = min((response.ended for response in refused), default=float("inf"))
    left, popped, ledger = pool.counts()
    return {
        "keys": pool.size,
        "handed out": sum(handed_out.values()),
        "distinct": len(handed_out),
        "twice": sum(count - 1 for count in handed_out.values()),
        "left": left,
        "lost": popped - len(handed_out),
        "ledger": ledger,
        "refused": len(refused),
        "refused otherwise": sum(response.detail != "pool is empty" for response in refused),
        "other responses": dict(Counter(r.status for r in responses if r.status >= 300 and r.status != 422)),
        # Keys handed out to requests that were sent after the first "pool is empty".
        "wrong empty": sum(r.began > first_refusal for r in responses if r.status < 300),
        "keys/s": round(pool.size / (max(r.ended for r in responses) - min(r.began for r in responses))),
    }


def is_right(row: dict[str, Any]) -> bool:
    """Whether the figures show that every key was handed out exactly once."""
    zeros = ("twice", "left", "lost", "refused otherwise", "wrong empty")
    complete = row["keys"] == row["handed out"] == row["distinct"] == row["ledger"]
    return complete and not any(row[name] for name in zeros) and not row["other responses"]


def print_row(row: dict[str, Any]) -> None:
    print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
