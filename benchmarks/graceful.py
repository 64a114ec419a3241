"""Checks that no running request fails when a busy server is stopped or reloaded.

    python -m benchmarks.graceful [--reload] [--rounds 10] [--clients 16] [--workers 2] [--server granian|gunicorn]
        [--json FILE]

Each pop pauses before and after it takes its key (`benchmarks.slow_wsgi`), so that at SIGTERM several keys are popped
whose responses are not sent yet. A request is running once its key is popped; it fails if its client gets no response.
A request that the server did not read before it closed the connection had no effect: a client or a proxy sends it
again. With --reload the server starts new workers (SIGHUP) instead, once a second. Exits with 1 if a running request
failed, or if no request was running in one of the rounds.
"""

import argparse
import json
import signal
import sys
import time
from argparse import Namespace
from collections import Counter
from http.client import HTTPException
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from benchmarks.clients import Client, Response, run_in_threads
from benchmarks.servers import database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reload", action="store_true", help="reload the server instead, in one run")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--server", choices=["granian", "gunicorn"], default="granian")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database(options.database):
        from benchmarks.pools import DemoPool  # after django.setup()

        if options.reload:
            row = reload_under_load(DemoPool(2_000 * options.rounds), options)
            print("  ".join(f"{name}: {value}" for name, value in row.items()))
            sys.exit(1 if row["failed"] or row["reloads"] < options.rounds else 0)
        rows = []
        for number in range(options.rounds):
            rows.append(stop_under_load(DemoPool(2_000), options, after=0.5 + 0.13 * number))
            print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    total = {name: sum(row[name] for row in rows) for name in ("responses", "running", "failed", "not begun")}
    print(f"stopped {options.rounds} times: {total}")
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(1 if total["failed"] or not all(row["running"] for row in rows) else 0)


def stop_under_load(pool: "DemoPool", options: Namespace, after: float) -> dict[str, Any]:
    """Start a server, load it, send SIGTERM after some seconds, and compare the clients' keys with the database."""
    stopping = Event()
    stopped_at: list[float] = []

    def work() -> tuple[list[Response], int]:
        client, broken = Client(running.port, pool.token), 0
        responses: list[Response] = []
        while True:
            was_stopping = stopping.is_set()
            try:
                responses.append(client.send(*pool.pop_request))
            except (OSError, HTTPException):
                broken += 1
                if was_stopping:  # before the request was sent
                    return responses, broken

    def stop() -> None:
        time.sleep(after)
        stopping.set()
        stopped_at.append(time.monotonic())
        running.is_stopped.set()  # do not start it again
        running.process.send_signal(signal.SIGTERM)

    with server(options.workers, "benchmarks.slow_wsgi", threads=4, kind=options.server) as running:
        thread = Thread(target=stop)
        thread.start()
        results = run_in_threads([work] * options.clients)
        thread.join()
        status = running.process.wait(timeout=60)
    responses = [response for responses, _ in results for response in responses]
    keys = {response.key for response in responses if response.status == 200}
    _, popped, _ = pool.counts()
    return {
        "responses": len(responses),
        "running": sum(response.began <= stopped_at[0] < response.ended for response in responses),
        "failed": popped - len(keys),
        "not begun": sum(broken for _, broken in results),
        "other responses": dict(Counter(response.status for response in responses if response.status != 200)),
        "exit code": status,
        "seconds": round(max(response.ended for response in responses) - stopped_at[0], 2),
    }


def reload_under_load(pool: "DemoPool", options: Namespace) -> dict[str, Any]:
    """Reload a server repeatedly under load, and compare the clients' keys with the database."""
    over = Event()
    reloads: list[bool] = []

    def work() -> tuple[list[Response], int]:
        client, broken = Client(running.port, pool.token), 0
        responses: list[Response] = []
        while not over.is_set():
            try:
                responses.append(client.send(*pool.pop_request))
            except (OSError, HTTPException):
                broken += 1
        return responses, broken

    def reload() -> None:
        for _ in range(options.rounds):
            before = set(running.workers())
            running.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 120
            while before & set(running.workers()) and time.monotonic() < deadline:
                time.sleep(0.1)
            reloads.append(not before & set(running.workers()))
            time.sleep(1)
        over.set()

    with server(options.workers, "benchmarks.slow_wsgi", threads=4, kind=options.server, respawn=10) as running:
        thread = Thread(target=reload)
        thread.start()
        results = run_in_threads([work] * options.clients)
        thread.join()
    responses = [response for responses, _ in results for response in responses]
    keys = {response.key for response in responses if response.status == 200}
    return {
        "reloads": sum(reloads),
        "responses": len(responses),
        "failed": pool.counts()[1] - len(keys),
        "not begun": sum(broken for _, broken in results),
        "other responses": dict(Counter(response.status for response in responses if response.status != 200)),
    }


if __name__ == "__main__":
    main()
