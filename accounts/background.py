"""Work that a request does not wait for, such as sending mail."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import Full, Queue
from typing import Any

logger = logging.getLogger(__name__)

EXIT_SECONDS = 5.0
MAX_WAITING = 1_000

Job = tuple[Callable[..., None], tuple[Any, ...]]


class JobQueue:
    """Runs jobs one after the other in a thread of this process. It starts with the first job."""

    def __init__(self) -> None:
        self._jobs: Queue[Job] = Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._is_started = False
        self._names: deque[str] = deque()  # of the jobs that are not done; the first one runs

    def put(self, function: Callable[..., None], *args: Any) -> None:
        """Add a job; if MAX_WAITING jobs wait, log that it is lost."""
        name = f"{function.__module__}.{function.__name__}"
        with self._lock:
            self._names.append(name)
            try:
                self._jobs.put_nowait((function, args))
            except Full:
                self._names.pop()
                logger.error("%s was not run: %s jobs are waiting already", name, MAX_WAITING)
                return
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._work, daemon=True, name="background").start()
                # At exit Python waits for non-daemon threads, without a limit: this one has a limit. `atexit` does not
                # run in the processes that the server forks. A thread is a daemon by default if its creator is one,
                # as in a request.
                threading.Thread(target=self._outlast_main_thread, daemon=False, name="background-exit").start()

    def _work(self) -> None:
        while True:
            function, args = self._jobs.get()
            try:
                function(*args)
            except Exception:  # the thread has other jobs to do
                logger.exception("%s failed", self._names[0])
            finally:
                self._names.popleft()
                self._jobs.task_done()

    def _outlast_main_thread(self) -> None:
        """Return when the main thread has ended and all jobs are done, or `EXIT_SECONDS` later."""
        threading.main_thread().join()
        jobs = self._jobs
        with jobs.all_tasks_done:
            if not jobs.all_tasks_done.wait_for(lambda: not jobs.unfinished_tasks, EXIT_SECONDS):
                name, *others = self._names
                also = f", and {len(others)} more" if others else ""
                logger.error("%s was given up at exit%s: it took longer than %s seconds", name, also, EXIT_SECONDS)


_queue = JobQueue()


def _forget_jobs() -> None:
    """Threads do not survive a fork: the parent runs the jobs that it has."""
    global _queue
    _queue = JobQueue()


os.register_at_fork(after_in_child=_forget_jobs)


def run_in_background(function: Callable[..., None], *args: Any) -> None:
    """Run a function in a thread, after those that were passed before.

    A process that exits waits up to `EXIT_SECONDS` for them, then logs that they are lost. If MAX_WAITING functions
    wait, the function is not run, and the log says so.
    """
    _queue.put(function, *args)
