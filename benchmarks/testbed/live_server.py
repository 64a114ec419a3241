"""The server as in README, on a database of its own, for tests that need a real connection."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path

from keygen_site.granian import granian_command

ROOT = Path(__file__).parent.parent.parent

ADMIN = "ann@acme.test"
PASSWORD = "a-long-enough-password"


@dataclass(frozen=True)
class LiveServer:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        token: of the admin of its only account, `acme`, who has the email ADMIN and the password PASSWORD.
        process: the main process; its children are the workers.
    """

    port: int
    token: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """The peak memory of the workers so far, in bytes."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        workers = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        peaks = [line for pid in workers for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1024 for line in peaks if line.startswith("VmHWM"))


@contextmanager
def live_server(folder: Path, **settings: str) -> Iterator[LiveServer]:
    """Run a `LiveServer` with one worker and with a new database in a folder, until the context ends.

    Args:
        settings: environment variables of the server.
    """
    database, token = _new_database()
    (folder / "live.sqlite3").write_bytes(database)
    environment = _environment(folder) | settings
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*granian_command(port=port, workers=1), "--no-log"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_for(port)
        yield LiveServer(port, token, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _environment(folder: Path | str) -> dict[str, str]:
    settings = {"DATABASE_URL": f"sqlite:///{folder}/live.sqlite3", "LOG_LEVEL": "ERROR"}
    return {**os.environ, **settings, "ADMIN_PASSWORD": PASSWORD}


@cache
def _new_database() -> tuple[bytes, str]:
    """The content of a migrated database with the account `acme`, and the token of its admin."""
    with tempfile.TemporaryDirectory(prefix="live-") as folder:

        def manage(*arguments: str) -> str:
            command = [sys.executable, "manage.py", *arguments]
            environment = _environment(folder)
            return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

        manage("migrate", "--verbosity", "0")
        token = manage("create_account", "acme", ADMIN, "--password-variable", "ADMIN_PASSWORD").strip()
        return (Path(folder) / "live.sqlite3").read_bytes(), token


def wait_for(port: int) -> None:
    """Wait up to a minute until a server on a local port responds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/v1/health")
            if connection.getresponse().status == 204:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the server did not start")
