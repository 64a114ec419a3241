"""The real server, as README runs it, on a database of its own, for programs that measure or torment it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread

from benchmarks.poolers import pgbouncer
from benchmarks.testbed.live_server import wait_for
from benchmarks.testbed.postgresql import ENVIRONMENT, crashable_postgresql_server

ROOT = Path(__file__).parent.parent


@contextmanager
def database(kind, pooler=False):
    """A fresh database of the kind `postgresql` or `sqlite`, durable; set up for this process and its children.

    With a pooler the children go through PgBouncer; this process does not.
    Yields a function that crashes and restarts it, or None where the database is part of the server's processes.
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
                with pgbouncer(url) if pooler else nullcontext(url) as reached:
                    os.environ["DATABASE_URL"] = reached
                    if pooler:
                        os.environ |= {"CONNECTION_POOLER": "true", "PREPARED_STATEMENTS": "false"}
                    yield crash


def migrate():
    os.environ["DJANGO_SETTINGS_MODULE"] = "keygen_site.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


class Server:
    """A running server, started again when it ends, as an init system would: granian gives up on workers that crash
    again and again."""

    def __init__(self, command, port, threads):
        self.command, self.port, self.over = command, port, Event()
        self.environment = {**os.environ, "THREADS": str(threads)}
        self.process = self._started()
        self.keeper = Thread(target=self._keep, daemon=True)
        self.keeper.start()

    def _started(self):
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command, cwd=ROOT, env=self.environment, **silent)

    def _keep(self):
        while not self.over.is_set():
            self.process.wait()
            if not self.over.is_set():
                self.process = self._started()

    def workers(self):
        """The ids of the worker processes that it has now."""
        try:
            threads = list(Path(f"/proc/{self.process.pid}/task").iterdir())
            return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except FileNotFoundError:  # it is just ending
            return []

    def stop(self):
        self.over.set()
        self._end()
        self.keeper.join()
        self._end()  # the keeper may just have started another one

    def _end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


@contextmanager
def server(workers=2, module="keygen_site.asgi", threads=1, kind="granian", respawn=0.1):
    """A `Server` on a free port, as long as the context lasts.

    Args:
        module: where the application is: `application` for granian, `wsgi_application` for gunicorn.
        threads: of each worker.
        respawn: seconds between the starts of granian's workers; that long a new one has before an old one is stopped.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if kind == "granian":
        command = [*_granian(port, str(workers), str(respawn)), f"{module}:application"]
    else:
        command = [*_gunicorn(port, str(workers), str(threads)), f"{module}:wsgi_application"]
    running = Server([sys.executable, "-m", *command], port, threads)
    try:
        wait_for(port)
        yield running
    finally:
        running.stop()


def _granian(port, workers, respawn):
    address = ["--interface", "asginl", "--no-ws", "--host", "127.0.0.1", "--port", str(port)]
    restart = ["--respawn-failed-workers", "--respawn-interval", respawn, "--no-log"]
    return ["granian", *address, "--workers", workers, *restart]


def _gunicorn(port, workers, threads):
    kind = ["--worker-class", "gthread", "--threads", threads, "--keep-alive", "30", "--log-level", "critical"]
    return ["gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", workers, *kind]
