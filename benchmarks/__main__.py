"""How fast the server is, as ratios within one run: `make bench`, shorter with `make bench ARGS=--quick`.

Two servers run on one database, the real one and one with bare views (`benchmarks.baseline_wsgi`). A load
generator asks each subject in turn, several rounds over, so that a noisy moment hits all of them; printed are the
medians of the rounds. The floor is a bare Django view with one `SELECT 1`.
"""

import argparse
import json
import os
import subprocess
import sys
from statistics import median

from benchmarks.servers import ROOT, database, server

# Subject: the least ratio to the floor that is aimed at.
TARGETS = {
    "postgresql": {
        "get": 0.30,
        "list of 10": 0.25,
        "validate-key": 0.28,
        "pop": 0.18,
        "pop by name": 0.12,
        "issue": 0.14,
    },
    "sqlite": {"pop": 0.15},
}
STATEMENTS = {"get": 3, "list of 10": 3, "pop": 3, "validate-key": 3, "issue": 5, "pop by name": 5}
FLOOR = "SELECT 1 view"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], action="append")
    parser.add_argument("--quick", action="store_true", help="two short rounds instead of five")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.database is None:
        # Django serves one database a process: one process for each.
        arguments = sys.argv[1:]
        kinds = [[sys.executable, "-m", "benchmarks", "--database", kind, *arguments] for kind in TARGETS]
        sys.exit(max(subprocess.run(command, cwd=ROOT, check=False).returncode for command in kinds))
    rounds, seconds = (2, 1.0) if options.quick else (5, 4.0)
    report = measure(options.database[0], rounds, seconds, options.connections)
    print_report(report)
    if options.json:
        json.dump(report, options.json, indent=2)


def measure(kind, rounds, seconds, connections):
    """Rates, times and CPU of every subject on one kind of database."""
    with database(kind):
        from benchmarks.workloads import subjects  # Django is set up now

        found = subjects(most_requests=int(rounds * seconds * 3_000))
        figures = {name: [] for name in found}
        with server() as real, server(module="benchmarks.baseline_wsgi") as floor:
            for subject in found.values():  # the first requests of a process load and prepare what later ones find
                ask(floor if subject.floor else real, subject.requests, 0.5, connections)
            for _ in range(rounds):
                for name, subject in found.items():
                    running = floor if subject.floor else real
                    figures[name].append(ask(running, subject.requests, seconds, connections))
        statements = {name: subject.statements() for name, subject in found.items() if not subject.floor}
    floor_rate = median(figure["rate"] for figure in figures[FLOOR])
    rows = [
        {
            "subject": name,
            **{part: median(figure[part] for figure in taken) for part in ("rate", "p50", "p99", "cpu")},
            "ratio": median(figure["rate"] for figure in taken) / floor_rate,
            "target": TARGETS[kind].get(name),
            "statements": statements.get(name),
            "other answers": sum(figure["other"] for figure in taken),
        }
        for name, taken in figures.items()
    ]
    return {"database": kind, "rounds": rounds, "seconds": seconds, "connections": connections, "rows": rows}


def ask(running, requests, seconds, connections):
    """One round of one subject: the load generator's figures, and the server's CPU time a request, in microseconds."""
    before = cpu_of(running.workers())
    loader = [sys.executable, "-m", "benchmarks.loader", str(running.port), str(connections), str(seconds)]
    outcome = subprocess.run(loader, input=json.dumps(requests), capture_output=True, text=True, cwd=ROOT, check=True)
    figures = json.loads(outcome.stdout)
    spent = cpu_of(running.workers()) - before
    other = sum(count for status, count in figures["statuses"].items() if not status.startswith("2"))
    return figures | {"cpu": spent / figures["requests"] * 1e6, "other": other}


def cpu_of(processes):
    """CPU time that processes have used, user and system, in seconds."""
    ticks = 0
    for process in processes:
        with open(f"/proc/{process}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def print_report(report):
    print("\n{database}, {connections} connections, {rounds} rounds of {seconds} s".format(**report))
    heads = ("to floor", 10), ("target", 8), ("p50 ms", 8), ("p99 ms", 8), ("CPU us", 8), ("statements", 12)
    print(f"{'subject':<16}{'req/s':>8}" + "".join(f"{head:>{width}}" for head, width in heads))
    for row in report["rows"]:
        target = f"{row['target']:.2f}" if row["target"] else ""
        allowed = STATEMENTS.get(row["subject"], "")
        statements = f"{row['statements']} of {allowed}" if row["statements"] is not None and allowed else ""
        print(
            f"{row['subject']:<16}{row['rate']:>8.0f}{row['ratio']:>10.2f}{target:>8}{row['p50']:>8.1f}"
            f"{row['p99']:>8.1f}{row['cpu']:>8.0f}{statements:>12}"
            + (f"  {row['other answers']} other answers!" if row["other answers"] else "")
        )


if __name__ == "__main__":
    main()
