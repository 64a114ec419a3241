"""How the web server granian is started, by `manage.py serve` and by the benchmarks: one place for its options."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
APPLICATION = "keygen_site.asgi:application"
# Connections of each worker. A client that is slow to send its headers holds one, and nothing else.
CONNECTIONS = 4_096
# Files that a worker has open besides its connections: databases, logs, libraries, spooled imports.
OTHER_FILES = 256


def granian_command(
    *,
    port: int,
    workers: int,
    host: str = "127.0.0.1",
    open_files: int = 1 << 16,
    respawn_interval: float = 10,
    target: str = APPLICATION,
) -> list[str]:
    """The command that runs an ASGI application by granian.

    Args:
        open_files: the number of files that each process may open. It accepts fewer connections than that: without a
            free file it could accept none.
        respawn_interval: seconds that a new worker has to start before the old one is stopped at a reload.
        target: the module of the application, and its name.
    """
    connections = max(64, min(CONNECTIONS, open_files - OTHER_FILES))
    return [
        *(sys.executable, "-m", "granian"),
        *("--working-dir", str(ROOT)),  # where the application's module is, wherever the command is run
        *("--interface", "asginl", "--no-ws"),
        *("--http", "1"),  # HTTP/2 would let one connection carry many requests, past the limits of a proxy
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--backpressure", str(connections), "--backlog", "4096"),
        # A header that has not arrived by then ends the connection; so does an idle one. Longer than the proxy's
        # `keepalive_timeout`, so that the proxy never sends a request to a connection that is just being closed.
        *("--http1-header-read-timeout", "15000"),
        *("--respawn-failed-workers", "--respawn-interval", str(respawn_interval)),
        *("--workers-kill-timeout", "60"),  # longer than any request that must not be cut off
        target,
    ]


STOP_SECONDS = 0.5  # that a server may take to end, before it is killed
START_SECONDS = 60.0


def run_until_stopped(command: Sequence[str], url: str, announce: Callable[[], None]) -> int:
    """Run a server until SIGINT or SIGTERM stops this process, for development. Returns its exit code, 0 if stopped.

    The server has a process group of its own: on Ctrl-C a terminal sends SIGINT to all processes of a group, and
    granian's workers, which also get SIGTERM from their parent, then never end.

    Args:
        url: a URL of the server that has a response once it listens.
        announce: called then.
    """
    # Its log goes to standard error: standard output has the announcement.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True)
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        if _wait_until_it_listens(server, url):
            announce()
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _wait_until_it_listens(server: "subprocess.Popen[bytes]", url: str) -> bool:
    """Whether the server listens; False if it has ended, or after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - this machine
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
    return False


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End a server and its workers, by force if they take longer than STOP_SECONDS. The database loses nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
