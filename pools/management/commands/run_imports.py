import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from keygen_site.management.project_command import ProjectCommand
from pools.import_locks import try_slots
from pools.models import PendingImport
from pools.services.import_workers import WORKER_LOCK, run_waiting_imports


class Command(ProjectCommand):
    """Imports the files of keys that wait for it, and ends when none is left.

    The server starts it by itself. At most IMPORT_WORKERS of them run on a machine: one more ends without doing
    anything.
    """

    examples = ("",)
    has_result = False  # the results are in the imports

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lock", type=int, help="for the server: the inherited file descriptor of the lock")

    def handle(self, *, lock: int | None, **options: Any) -> None:
        if lock is None:
            slot = try_slots(WORKER_LOCK, settings.IMPORT_WORKERS)
        else:
            slot = os.fdopen(lock, "wb")
            for number in (signal.SIGTERM, signal.SIGINT):  # the next worker starts over with the file
                signal.signal(number, lambda *_: sys.exit(0))
        while slot is not None:
            with slot:
                run_waiting_imports()
            # A file may have come after the last query, while the lock still kept a new worker from starting.
            waits = PendingImport.objects.claimable().exists()
            slot = try_slots(WORKER_LOCK, settings.IMPORT_WORKERS) if waits else None

    def describe_interruption(self) -> str:
        return "an import that had begun added nothing, and starts over when the command runs again."
