"""Measures request rates relative to a bare Django view: `make bench`, shorter with `make bench ARGS=--quick`.

Two servers run on one database, the real one and one with bare views (`benchmarks.baseline_wsgi`). A load generator
runs each workload in turn, in several rounds, so that noise affects all of them, and prints the medians of the rounds.
The baseline is a bare Django view with one `SELECT 1`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.servers import ROOT, Server, database, server

# The minimum rate of each workload that we aim at, relative to the baseline.
TARGETS = {
    "postgresql": {
        "get": 0.30,
        "list of 10": 0.25,
        "validate-key": 0.28,
        "pop": 0.18,
        "idempotent pop": 0.12,
        "issue": 0.14,
    },
    "sqlite": {"pop": 0.15},
}
MAX_STATEMENTS = {"get": 3, "list of 10": 3, "pop": 3, "validate-key": 3, "issue": 5, "idempotent pop": 5}
BASELINE = "SELECT 1 view"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    parser.add_argument("--quick", action="store_true", help="two short rounds instead of five")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.database is None:
        # Django is set up for one database per process.
        arguments = sys.argv[1:]
        kinds = [[sys.executable, "-m", "benchmarks", "--database", kind, *arguments] for kind in TARGETS]
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
            "target": TARGETS[kind].get(name),
            "statements": statements.get(name),
            "other responses": sum(figure["other"] for figure in taken),
        }
        for name, taken in figures.items()
    ]
    return {"database": kind, "rounds": rounds, "seconds": seconds, "connections": connections, "rows": rows}


def run(running: Server, requests: list[Any], seconds: float, connections: int) -> dict[str, Any]:
    """Run a workload; returns the load generator's figures and the server's CPU time per request, in microseconds."""
    before = cpu_seconds_of(running.workers())
    loader = [sys.executable, "-m", "benchmarks.loader", str(running.port), str(connections), str(seconds)]
    outcome = subprocess.run(loader, input=json.dumps(requests), capture_output=True, text=True, cwd=ROOT, check=True)
    figures = json.loads(outcome.stdout)
    spent = cpu_seconds_of(running.workers()) - before
    other = sum(count for status, count in figures["statuses"].items() if not status.startswith("2"))
    return figures | {"cpu": spent / figures["requests"] * 1e6, "other": other}


def cpu_seconds_of(processes: Iterable[int]) -> float:
    """The CPU time of processes so far, user and system."""
    ticks = 0
    for process in processes:
        with open(f"/proc/{process}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def print_report(report: dict[str, Any]) -> None:
    print("\n{database}, {connections} connections, {rounds} rounds of {seconds} s".format(**report))
    heads = ("to base", 10), ("target", 8), ("p50 ms", 8), ("p99 ms", 8), ("CPU us", 8), ("statements", 12)
    print(f"{'workload':<16}{'req/s':>8}" + "".join(f"{head:>{width}}" for head, width in heads))
    for row in report["rows"]:
        target = f"{row['target']:.2f}" if row["target"] else ""
        allowed = MAX_STATEMENTS.get(row["workload"], "")
        statements = f"{row['statements']} of {allowed}" if row["statements"] is not None and allowed else ""
        print(
            f"{row['workload']:<16}{row['rate']:>8.0f}{row['ratio']:>10.2f}{target:>8}{row['p50']:>8.1f}"
            f"{row['p99']:>8.1f}{row['cpu']:>8.0f}{statements:>12}"
            + (f"  {row['other responses']} other responses!" if row["other responses"] else "")
        )


if __name__ == "__main__":
    main()
