"""Many clients empty one pool: is every key handed out, and none twice?

    python -m benchmarks.exactly_once [--database postgresql|sqlite] [--pooler] [--keys 10000] [--clients 32]
        [--json FILE]

Three pools, emptied by popping, by creating licenses, and by both; and once more, as a negative control, by a server
whose claim is not atomic, which has to be found out. Ends with 1 if anything is not as it should be.
"""

import argparse
import json
import sys
from collections import Counter

from benchmarks.clients import Client, at_once
from benchmarks.servers import database, server

PATIENCE = 5  # answers of "pool is empty" that each client wants to hear before it believes it


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pooler", action="store_true", help="through PgBouncer in transaction mode")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.pooler and options.database == "sqlite":
        parser.error("SQLite has no connections to pool")
    with database(options.database, options.pooler):
        from benchmarks.pools import DemoPool  # Django is set up now

        rows = []
        with server(options.workers) as running:
            for way in ("pop", "license", "mixed"):
                rows.append({"way": way, **empty(DemoPool(options.keys), running.port, way, options.clients)})
                print_row(rows[-1])
        with server(options.workers, "benchmarks.non_atomic_claim_wsgi") as running:
            control = {"way": "control", **empty(DemoPool(options.keys // 10), running.port, "pop", options.clients)}
            print_row(control)
    honest = all(is_right(row) for row in rows)
    found_out = not is_right(control)
    print(f"exactly once: {honest}; the server with a claim in two steps was found out: {found_out}")
    if options.json:
        json.dump({"database": options.database, "rows": [*rows, control]}, options.json, indent=2)
    sys.exit(0 if honest and found_out else 1)


def empty(pool, port, way, clients):
    """Empty a pool by so many clients, and compare what they have with what the database says."""

    def work(number):
        client, answers, refusals = Client(port, pool.token), [], 0
        while refusals < PATIENCE:
            pops = way == "pop" or (way == "mixed" and number % 2)
            answer = client.ask(*(pool.pop_request if pops else pool.license_request))
            answers.append(answer)
            refusals += answer.status == 422
        return answers

    answers = [answer for answers in at_once([lambda n=n: work(n) for n in range(clients)]) for answer in answers]
    handed = Counter(answer.key for answer in answers if answer.status < 300)
    refused = [answer for answer in answers if answer.status == 422]
    first_refusal = min((answer.ended for answer in refused), default=float("inf"))
    left, popped, ledger = pool.counts()
    return {
        "keys": pool.size,
        "handed out": sum(handed.values()),
        "distinct": len(handed),
        "twice": sum(count - 1 for count in handed.values()),
        "left": left,
        "lost": popped - len(handed),
        "ledger": ledger,
        "refused": len(refused),
        "refused otherwise": sum(answer.detail != "pool is empty" for answer in refused),
        "other answers": dict(Counter(a.status for a in answers if a.status >= 300 and a.status != 422)),
        # A key that was asked for after somebody had heard "empty", and was there.
        "wrong empty": sum(a.began > first_refusal for a in answers if a.status < 300),
        "keys/s": round(pool.size / (max(a.ended for a in answers) - min(a.began for a in answers))),
    }


def is_right(row):
    zeros = ("twice", "left", "lost", "refused otherwise", "wrong empty")
    complete = row["keys"] == row["handed out"] == row["distinct"] == row["ledger"]
    return complete and not any(row[name] for name in zeros) and not row["other answers"]


def print_row(row):
    print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
