"""Measures request rates relative to a bare Django view: `make bench`, shorter with `make bench ARGS=--quick`.

Two servers run on one database, the real one and one with bare views (`benchmarks.baseline_wsgi`). A load generator
runs each workload in turn, in several rounds, so that noise affects all of them, and prints the medians of the rounds.
The baseline is a bare Django view with one `SELECT 1`.
"""

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.latency import compare
from benchmarks.load import run
from benchmarks.servers import ROOT, database, server

# The maximum CPU time of each workload on PostgreSQL, relative to the bare view and to other workloads.
MAX_CPU = {
    **{"get": 4.5, "list of 10": 6.5, "validate-key": 4.5, "pop": 6.5, "idempotent pop": 10, "issue": 11},
    **{"validate, scope": 8, "ping": 5, "activate": 12},
}
MAX_CPU_OF_OTHERS = {
    **{f"get {name}": ("get", 1.3) for name in ("policy", "product", "license", "user")},
    "list of 100": ("list of 10", 5),
}
# Statements on SQLite, round trips on PostgreSQL.
MAX_STATEMENTS = {
    "postgresql": {
        **{"get": 2, "list of 10": 2, "pop": 2, "validate-key": 2, "issue": 4, "idempotent pop": 4},
        **{"validate, scope": 3, "ping": 3, "activate": 7},
    },
    "sqlite": {"get": 3, "list of 10": 3, "pop": 4, "validate-key": 3, "issue": 5, "idempotent pop": 6},
}
BARE, BASELINE = "bare view", "SELECT 1 view"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    parser.add_argument("--quick", action="store_true", help="two short rounds instead of five")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=argparse.FileType("w"))
    parser.add_argument("--latency", type=float, metavar="MS", help="compare with a database so far away")
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[], help="of the worker, with --latency; several numbers"
    )
    options = parser.parse_args()
    if options.latency:
        rounds, seconds = (2, 1.0) if options.quick else (3, 3.0)
        sys.exit(0 if compare(options.latency, rounds, seconds, options.connections, options.threads) else 1)
    if options.database is None:
        # Django is set up for one database per process.
        arguments = sys.argv[1:]
        kinds = [[sys.executable, "-m", "benchmarks", "--database", kind, *arguments] for kind in MAX_STATEMENTS]
        sys.exit(max(subprocess.run(command, cwd=ROOT, check=False).returncode for command in kinds))
    rounds, seconds = (2, 1.0) if options.quick else (5, 4.0)
    report = measure(options.database[0], rounds, seconds, options.connections)
    print_report(report)
    if options.json:
        json.dump(report, options.json, indent=2)


def measure(kind: str, rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    """Measure rate, times and CPU time of all workloads on one kind of database."""
    with database(kind):
        from benchmarks.workloads import build_workloads  # after django.setup()

        workloads = build_workloads(max_requests=int(rounds * seconds * 3_000))
        figures: dict[str, list[dict[str, Any]]] = {name: [] for name in workloads}
        with server() as real, server(module="benchmarks.baseline_wsgi") as baseline:
            for workload in workloads.values():  # warm up: the first requests of a process import modules
                run(baseline if workload.is_baseline else real, workload.requests, 0.5, connections)
            for _ in range(rounds):
                for name, workload in workloads.items():
                    running = baseline if workload.is_baseline else real
                    figures[name].append(run(running, workload.requests, seconds, connections))
        statements = {
            name: workload.count_statements() for name, workload in workloads.items() if not workload.is_baseline
        }
    baseline_rate = median(figure["rate"] for figure in figures[BASELINE])
    rows = [
        {
            "workload": name,
            **{part: median(figure[part] for figure in taken) for part in ("rate", "p50", "p99", "cpu")},
            "ratio": median(figure["rate"] for figure in taken) / baseline_rate,
            "statements": statements.get(name),
            "other responses": sum(figure["other"] for figure in taken),
        }
        for name, taken in figures.items()
    ]
    add_multiples(rows, with_targets=kind == "postgresql")
    return {"database": kind, "rounds": rounds, "seconds": seconds, "connections": connections, "rows": rows}


def add_multiples(rows: list[dict[str, Any]], *, with_targets: bool) -> None:
    """Add to each row its CPU time relative to the bare view, and its target as text."""
    cpu = {row["workload"]: row["cpu"] for row in rows}
    for row in rows:
        name = row["workload"]
        row["multiple"], row["target"] = row["cpu"] / cpu[BARE], ""
        if with_targets and name in MAX_CPU:
            row["target"] = f"{MAX_CPU[name]}"
        elif with_targets and name in MAX_CPU_OF_OTHERS:
            other, allowed = MAX_CPU_OF_OTHERS[name]
            row["target"] = f"{row['cpu'] / cpu[other]:.1f} of {allowed} x {other}"


def print_report(report: dict[str, Any]) -> None:
    print("\n{database}, {connections} connections, {rounds} rounds of {seconds} s".format(**report))
    counted = "round trips" if report["database"] == "postgresql" else "statements"
    heads = ("to base", 10), ("p50 ms", 8), ("p99 ms", 8), ("CPU us", 8), ("x bare", 8), ("target", 22), (counted, 13)
    print(f"{'workload':<18}{'req/s':>8}" + "".join(f"{head:>{width}}" for head, width in heads))
    for row in report["rows"]:
        allowed = MAX_STATEMENTS[report["database"]].get(row["workload"], "")
        statements = f"{row['statements']} of {allowed}" if row["statements"] is not None and allowed else ""
        print(
            f"{row['workload']:<18}{row['rate']:>8.0f}{row['ratio']:>10.2f}{row['p50']:>8.1f}{row['p99']:>8.1f}"
            f"{row['cpu']:>8.0f}{row['multiple']:>8.1f}{row['target']:>22}{statements:>13}"
            + (f"  {row['other responses']} other responses!" if row["other responses"] else "")
        )


if __name__ == "__main__":
    main()
