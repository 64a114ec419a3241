import os
import resource
import sys
from typing import Any

from django.core.management.base import CommandParser

from keygen_site.granian import granian_command
from keygen_site.management import options
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Runs the web server: granian, with the options of `keygen_site/granian.py`. Further options follow `--`."""

    examples = (
        "--port 8000 --workers 4",
        "--host 0.0.0.0 -- --log-config logging.json",
    )
    has_result = False  # the process becomes the server
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", type=options.name, default="127.0.0.1", help="IP address (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
        parser.add_argument(
            "--workers", type=options.count, default=len(os.sched_getaffinity(0)), help="by default one per core"
        )
        parser.add_argument(
            "granian", nargs="*", type=options.name, help="options of granian, e.g. -- --log-config logging.json"
        )

    def handle(self, *, host: str, port: int, workers: int, granian: list[str], **_: Any) -> None:
        files = raise_file_limit()
        command = granian_command(host=host, port=port, workers=workers, open_files=files)
        sys.stdout.flush()
        # The same process, so that signals reach the server.
        os.execv(command[0], [*command, *granian])


def raise_file_limit() -> int:
    """Raise the number of files, and so of connections, that a process may open as far as it may. Returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 16
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(limit, soft)
