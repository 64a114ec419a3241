"""A busy server is told to stop, again and again: does a request that it has begun fail?

    python -m benchmarks.graceful [--reload] [--rounds 10] [--clients 16] [--workers 2] [--server granian|gunicorn]
        [--json FILE]

Each pop pauses before and after it takes its key (`benchmarks.slow_wsgi`), so that whenever the server gets its
SIGTERM several keys are popped whose answers are still to be sent. A request has begun when its key was popped; it
fails when its client has no answer. A connection that the server closed before it read a request is the other case:
such a request has had no effect, and a client or a proxy sends it again. With --reload it is told to start new
workers (SIGHUP) instead, once a second, and goes on. Ends with 1 if a request failed that had begun, or if in some
round nothing was under way.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from http.client import HTTPException
from threading import Event, Thread

from benchmarks.clients import Client, at_once
from benchmarks.servers import database, server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reload", action="store_true", help="reload it instead, in one run")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--server", choices=["granian", "gunicorn"], default="granian")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with database(options.database):
        from benchmarks.pools import DemoPool  # Django is set up now

        if options.reload:
            row = reload_under_load(DemoPool(2_000 * options.rounds), options)
            print("  ".join(f"{name}: {value}" for name, value in row.items()))
            sys.exit(1 if row["failed"] or row["reloads"] < options.rounds else 0)
        rows = []
        for number in range(options.rounds):
            rows.append(stop_under_load(DemoPool(2_000), options, after=0.5 + 0.13 * number))
            print("  ".join(f"{name}: {value}" for name, value in rows[-1].items()), flush=True)
    total = {name: sum(row[name] for row in rows) for name in ("answered", "under way", "failed", "not begun")}
    print(f"{options.rounds} times stopped: {total}")
    if options.json:
        json.dump(rows, options.json, indent=2)
    sys.exit(1 if total["failed"] or not all(row["under way"] for row in rows) else 0)


def stop_under_load(pool, options, after):
    """One round: start, load, SIGTERM after so many seconds, and compare what clients have with the database."""
    stopping, stopped_at = Event(), []

    def work():
        client, answers, broken = Client(running.port, pool.token), [], 0
        while True:
            told = stopping.is_set()
            try:
                answers.append(client.ask(*pool.pop_request))
            except (OSError, HTTPException):
                broken += 1
                if told:  # and it had been before this one was sent
                    return answers, broken

    def stop():
        time.sleep(after)
        stopping.set()
        stopped_at.append(time.monotonic())
        running.over.set()  # nobody is to start it again
        running.process.send_signal(signal.SIGTERM)

    with server(options.workers, "benchmarks.slow_wsgi", threads=4, kind=options.server) as running:
        killer = Thread(target=stop)
        killer.start()
        done = at_once([work] * options.clients)
        killer.join()
        status = running.process.wait(timeout=60)
    answers = [answer for answers, _ in done for answer in answers]
    keys = {answer.key for answer in answers if answer.status == 200}
    _, popped, _ = pool.counts()
    return {
        "answered": len(answers),
        "under way": sum(answer.began <= stopped_at[0] < answer.ended for answer in answers),
        "failed": popped - len(keys),
        "not begun": sum(broken for _, broken in done),
        "other answers": dict(Counter(answer.status for answer in answers if answer.status != 200)),
        "ended with": status,
        "seconds": round(max(answer.ended for answer in answers) - stopped_at[0], 2),
    }


def reload_under_load(pool, options):
    """Have the server start new workers while clients go on, and compare in the same way."""
    over, reloads = Event(), []

    def work():
        client, answers, broken = Client(running.port, pool.token), [], 0
        while not over.is_set():
            try:
                answers.append(client.ask(*pool.pop_request))
            except (OSError, HTTPException):
                broken += 1
        return answers, broken

    def reload():
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
        done = at_once([work] * options.clients)
        thread.join()
    answers = [answer for answers, _ in done for answer in answers]
    keys = {answer.key for answer in answers if answer.status == 200}
    return {
        "reloads": sum(reloads),
        "answered": len(answers),
        "failed": pool.counts()[1] - len(keys),
        "not begun": sum(broken for _, broken in done),
        "other answers": dict(Counter(answer.status for answer in answers if answer.status != 200)),
    }


if __name__ == "__main__":
    main()
