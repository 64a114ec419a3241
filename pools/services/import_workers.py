"""Processes that work on pending imports, apart from those that serve requests.

A request stores a file and starts a worker if fewer than IMPORT_WORKERS run on this machine. A worker takes one file
after the other, and ends when none is left. It is a process of its own because threads would take the interpreter's
lock from requests, and it has a low priority. It uses two connections to the database: one for the import, which
is a long transaction, and one for the heartbeat.

The table of pending imports is the queue. Each worker claims a file of an account for which no other one works, and
reports every second that it lives. If it dies, another worker claims the file and starts over: the rows of the first
one were rolled back, or are removed (SQLite).
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.conf import settings
from django.db import Error, OperationalError, connection
from django.utils import timezone

from keygen_site.jsonapi.errors import REFERENCE, DomainError
from pools.import_locks import ImportBusy, try_slots
from pools.models import PendingImport
from pools.services.import_processing import fail, process

HEARTBEAT_SECONDS = 1.0
POLL_SECONDS = 1.0  # while other workers are busy
MAX_INTERRUPTIONS = 5
LOW_PRIORITY = 10  # a tenth of a busy core: with 19, an import would hardly go on while all cores are busy
WORKER_LOCK = "worker"  # the name of the slots in `pools.import_locks`
# A process that writes metrics into the server's folder would be counted as one that serves requests.
_WITHOUT = ("PROMETHEUS_MULTIPROC_DIR",)

logger = logging.getLogger(__name__)


class ImportGivenUp(DomainError):
    """The worker ended during each attempt, e.g. for lack of memory."""

    status = 500
    title = "Internal server error"
    detail = (
        f"The server stopped {MAX_INTERRUPTIONS} times during this import. Nothing was added: send the file in several "
        "parts, or import it by the command import_keys"
    )
    code = "IMPORT_GIVEN_UP"
    about = REFERENCE


def start_worker() -> None:
    """Start a worker process, unless IMPORT_WORKERS of them run on this machine."""
    lock = try_slots(WORKER_LOCK, settings.IMPORT_WORKERS)
    if lock is None:
        return
    with lock:
        # The process inherits the lock, which no other one can take meanwhile.
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_imports", "--lock", str(lock.fileno())]
        try:
            worker = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env={name: value for name, value in os.environ.items() if name not in _WITHOUT},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[lock.fileno()],
            )
        except OSError:
            logger.exception("no import worker could be started; the next request about an import tries again")
            return
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, worker.pid, LOW_PRIORITY)
    # Without it an ended worker would stay in the process table.
    threading.Thread(target=worker.wait, name="import worker", daemon=True).start()


def resume_imports() -> None:
    """Start a worker if a file waits, e.g. since the server was stopped."""
    try:
        if PendingImport.objects.unfinished().exists():
            start_worker()
    except Error:
        logger.warning("the database does not respond, so interrupted imports are not resumed yet")


def run_waiting_imports(*, wait: bool = True) -> None:
    """Work on pending imports until none is left.

    Args:
        wait: stay until those are done that other processes work on, to take over if one of them dies.
    """
    busy: set[UUID] = set()
    while True:
        pending = PendingImport.objects.claim_next(busy)
        if pending:
            if not _run(pending):
                busy.add(pending.account_id)
        elif wait and PendingImport.objects.unfinished().exists():
            busy.clear()
            time.sleep(POLL_SECONDS)
        else:
            return


def _run(pending: PendingImport) -> bool:
    """Work on a claimed import. Returns false if it has to wait for another import of its account."""
    if pending.interruptions >= MAX_INTERRUPTIONS:
        fail(pending, ImportGivenUp())
        return True
    try:
        with _heartbeat(pending):
            process(pending)
    except ImportBusy:
        pending.enqueue()
        return False
    except Exception:  # it is marked as failed; the files of others are to be imported all the same
        logger.exception("the pending import %s failed", pending.pk)
    except BaseException:  # the worker is being stopped
        pending.enqueue()
        raise
    return True


@contextmanager
def _heartbeat(pending: PendingImport) -> Iterator[None]:
    """Update `alive` and `lines` each second, from a thread: the import itself is one long transaction."""
    stopped = threading.Event()

    def beat() -> None:
        try:
            while not stopped.wait(HEARTBEAT_SECONDS):
                with suppress(OperationalError):  # the row is locked or the database is busy: the next beat will do
                    PendingImport.objects.unfinished().filter(pk=pending.pk, claims=pending.claims, queued=None).update(
                        alive=timezone.now(), lines=pending.lines
                    )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
