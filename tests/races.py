"""Several callers at the same moment, in real threads with connections of their own."""

from threading import Barrier, Event, Thread

from django.db import connection, transaction


def race(callers, work):
    """What `work()` returned, or raised, in each of so many threads that began at the same moment."""
    return race_of([work] * callers)


def race_of(works):
    """The same for different functions; the results in their order."""
    start, results = Barrier(len(works)), [None] * len(works)

    def run(number, work):
        try:
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
    """Another transaction that has done something and has not ended yet: `with Holder(act) as holder: …`.

    It is rolled back at the end, or when `let_go()` is called, unless that is called with `commit=True`.
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


def results_of(kind, results):
    return [result for result in results if isinstance(result, kind)]
