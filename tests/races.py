"""Several callers at the same moment, in real threads with connections of their own."""

import time
from contextlib import contextmanager
from threading import Barrier, Event, Thread

from django.db import connection, transaction

# Sessions that wait for a lock, of a row or an advisory one.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


# How long the callers of a race wait for each other's locks, in milliseconds: as long as a slow machine needs.
PATIENCE = {"postgresql": "SET lock_timeout = 60000", "sqlite": "PRAGMA busy_timeout = 60000"}


def race(callers, work):
    """Run a function in several threads that start at the same moment; a list of their results or exceptions."""
    return race_of([work] * callers)


def race_of(works):
    """Run several functions in threads that start at the same moment; their results or exceptions, in order."""
    start, results = Barrier(len(works)), [None] * len(works)

    def run(number, work):
        try:
            with connection.cursor() as cursor:
                cursor.execute(PATIENCE[connection.vendor])
            start.wait(timeout=30)
            results[number] = work()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    return results


class Holder:
    """A transaction in another thread that has run `act` and stays open: `with Holder(act) as holder: …`.

    It is rolled back at the end of the block or by `let_go()`; `let_go(commit=True)` commits it.
    """

    def __init__(self, act):
        self.act, self.done, self.go, self.commit, self.result = act, Event(), Event(), False, None
        self.thread = Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        assert self.done.wait(timeout=30)
        return self

    def __exit__(self, *error):
        self.let_go()

    def let_go(self, commit=False):
        self.commit = self.commit or commit
        self.go.set()
        self.thread.join(timeout=60)

    def _run(self):
        try:
            with transaction.atomic():
                self.result = self.act()
                self.done.set()
                self.go.wait(timeout=60)
                if not self.commit:
                    transaction.set_rollback(True)
        finally:
            self.done.set()
            connection.close()


def run_while_held(act, work):
    """Run `work` while another transaction has run `act`; commit that one when `work` waits for a lock or has ended.

    PostgreSQL only. Returns whether `work` had to wait, and its result or exception.
    """
    results = []
    with Holder(act) as holder:
        thread = Thread(target=lambda: results.extend(race(1, work)))
        thread.start()
        waited = False
        while thread.is_alive() and not (waited := _is_any_session_waiting()):
            time.sleep(0.01)
        holder.let_go(commit=True)
        thread.join(timeout=60)
    assert results, "the work did not end"
    return waited, results[0]


def wait_for_lock():
    """Wait until a session waits for a lock. PostgreSQL only."""
    until = time.monotonic() + 30
    while not _is_any_session_waiting():
        assert time.monotonic() < until, "no session waits"
        time.sleep(0.01)


@contextmanager
def cancelled_when_waiting():
    """Cancel the statement of this thread's connection as soon as it waits for a lock. PostgreSQL only."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (session,) = cursor.fetchone()

    def cancel():
        try:
            wait_for_lock()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_cancel_backend(%s)", [session])
        finally:
            connection.close()

    thread = Thread(target=cancel)
    thread.start()
    yield
    thread.join(timeout=60)


def _is_any_session_waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the first look again otherwise
        cursor.execute(WAITING)
        return cursor.fetchone()[0] > 0


def results_of(kind, results):
    return [result for result in results if isinstance(result, kind)]
