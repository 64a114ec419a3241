"""The server as README runs it, on a database of its own, for benchmarks and fault tests."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread

from benchmarks.poolers import pgbouncer
from benchmarks.testbed.live_server import wait_for
from benchmarks.testbed.postgresql import ENVIRONMENT, crashable_postgresql_server
from keygen_site.granian import granian_command

ROOT = Path(__file__).parent.parent


@contextmanager
def database(kind: str, pooler: bool = False) -> Iterator[Callable[[], bool | None] | None]:
    """Run a new, durable database until the context ends, and set it up for this process and its children.

    Yields a function that crashes and restarts the database; None for SQLite, which runs in the server's processes.

    Args:
        kind: `postgresql` or `sqlite`.
        pooler: whether the children connect through PgBouncer; this process does not.
    """
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if kind == "sqlite":
            os.environ["DATABASE_URL"] = f"sqlite:///{folder}/benchmark.sqlite3"
            migrate()
            yield None
        else:
            with crashable_postgresql_server() as (url, crash):
                os.environ["DATABASE_URL"] = url
                migrate()
                with pgbouncer(url) if pooler else nullcontext(url) as server_url:
                    os.environ["DATABASE_URL"] = server_url
                    if pooler:
                        os.environ |= {"CONNECTION_POOLER": "true", "PREPARED_STATEMENTS": "false"}
                    yield crash


def migrate() -> None:
    """Set up Django, and migrate the database."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "keygen_site.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


class Server:
    """A running server. It is restarted when it exits, as by systemd: granian exits if its workers crash repeatedly.

    Attributes:
        port: on 127.0.0.1.
        process: the main process.
        is_stopped: set it before stopping the server, so that it is not restarted.
    """

    def __init__(self, command: list[str], port: int, threads: int | None = None) -> None:
        self.command, self.port, self.is_stopped = command, port, Event()
        self.environment = {**os.environ, **({"THREADS": str(threads)} if threads else {})}
        self.process = self._start()
        self.supervisor = Thread(target=self._restart, daemon=True)
        self.supervisor.start()

    def _start(self) -> "subprocess.Popen[bytes]":
        null = subprocess.DEVNULL
        return subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdout=null,
            stderr=null,
            start_new_session=True,  # so that the whole group can be killed
        )

    def _restart(self) -> None:
        while not self.is_stopped.is_set():
            self.process.wait()
            if not self.is_stopped.is_set():
                self.process = self._start()

    def workers(self) -> list[int]:
        """The process ids of the present workers."""
        try:
            threads = list(Path(f"/proc/{self.process.pid}/task").iterdir())
            return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except FileNotFoundError:  # the process has exited
            return []

    def stop(self) -> None:
        self.is_stopped.set()
        self._terminate()
        self.supervisor.join()
        self._terminate()  # the supervisor may have restarted it meanwhile

    def _terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        with suppress(ProcessLookupError):  # workers that outlived the main process
            os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def server(
    workers: int = 2,
    module: str = "keygen_site.asgi",
    threads: int | None = None,
    kind: str = "granian",
    respawn: float = 0.1,
) -> Iterator[Server]:
    """Run a `Server` on a free port until the context ends.

    Args:
        module: the module with `application` for granian and `wsgi_application` for gunicorn.
        threads: of each worker; None for the shipped setting.
        kind: `granian` or `gunicorn`.
        respawn: seconds between the starts of granian's workers; at a reload, between the start of a new worker and the
            stop of an old one.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if kind == "granian":
        target = f"{module}:application"
        command = granian_command(port=port, workers=workers, respawn_interval=respawn, target=target)
        command += ["--no-log"]
    else:
        options = _gunicorn(port, str(workers), str(threads or 1))
        command = [sys.executable, "-m", *options, f"{module}:wsgi_application"]
    running = Server(command, port, threads)
    try:
        wait_for(port)
        yield running
    finally:
        running.stop()


def _gunicorn(port: int, workers: str, threads: str) -> list[str]:
    kind = ["--worker-class", "gthread", "--threads", threads, "--keep-alive", "30", "--log-level", "critical"]
    return ["gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", workers, *kind]
