"""Runs the load generator, and takes the CPU time of the server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.servers import ROOT, Server


def run(
    running: Server, requests: list[Any], seconds: float, connections: int, rate: float | None = None
) -> dict[str, Any]:
    """Run a workload; returns the load generator's figures and the server's CPU time per request, in microseconds.

    Args:
        rate: of requests in a second; None for as many as the server answers.
    """
    before = cpu_seconds_of(running.workers())
    loader = [sys.executable, "-m", "benchmarks.loader", str(running.port), str(connections), str(seconds)]
    if rate:
        loader.append(str(rate))
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
