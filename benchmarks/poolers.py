"""PgBouncer in transaction mode in front of a database, configured as in `docs/operations.md`."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import psycopg

# Fewer connections than the server has processes, so that they are shared.
CONFIGURATION = """
[databases]
* = host={database} port={port} user={role} {password}

[pgbouncer]
unix_socket_dir = {folder}
listen_addr =
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
server_reset_query =
logfile = {folder}/pgbouncer.log
"""
# Restarts PgBouncer for each line of input, and stops it when the pipe to the parent closes, even if the parent was
# killed. Uses SIGKILL, because on SIGTERM newer versions wait until their clients disconnect.
KEEPER = """
while "$PROGRAM" pgbouncer.ini >/dev/null 2>&1 & do
    read -r _ || break
    kill -9 $!; wait $!
done
kill -9 $!; wait $!
"""


def find_program() -> str | None:
    """The path of PgBouncer, or None if it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@contextmanager
def pgbouncer(url: str, size: int = 2) -> Iterator[str]:
    """Run PgBouncer in front of a database until the context ends. Yields the DATABASE_URL through it.

    The arguments are those of `restartable_pgbouncer`.
    """
    with restartable_pgbouncer(url, size) as (through, _):
        yield through


@contextmanager
def restartable_pgbouncer(url: str, size: int = 2) -> Iterator[tuple[str, Callable[[], None]]]:
    """Run PgBouncer in front of a database until the context ends.

    Yields the DATABASE_URL through it, and a function that kills it and waits until it has restarted.

    Session parameters are set for the role, by the hint of our own check.

    Args:
        url: of a database that listens on a socket.
        size: the number of connections to it.
    """
    _set_limits(url)
    parts = urlsplit(url)
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-")).resolve()
    values: dict[str, Any] = {
        "database": unquote(parts.hostname or ""),
        "port": parts.port or 5432,
        "role": parts.username,
    }
    values |= {"folder": folder, "size": size}
    values["password"] = f"password='{unquote(parts.password)}'" if parts.password else ""
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**values))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        subprocess.run(["chown", "-R", "nobody:", folder], check=True)
        identity = {"user": "nobody", "group": folder.stat().st_gid, "extra_groups": []}
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", KEEPER],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the shell reports each kill
        text=True,
        cwd=folder,
        env={"PROGRAM": cast(str, find_program())},
        **identity,
    )
    through = f"postgres://{parts.username}@{quote(str(folder), safe='')}:6432{parts.path}"
    stdin = cast(Any, keeper.stdin)

    def restart() -> None:
        stdin.write("restart\n")
        stdin.flush()
        time.sleep(0.1)  # until the signal has arrived
        _wait_for(through, folder)

    try:
        _wait_for(through, folder)
        yield through, restart
    finally:
        stdin.close()
        keeper.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _set_limits(url: str) -> None:
    from keygen_site.checks import check_limits

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for problem in check_limits(cursor):
            cursor.execute(cast(Any, problem.hint))


def _wait_for(url: str, folder: Path) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    log = folder / "pgbouncer.log"
    raise RuntimeError(f"PgBouncer did not start:\n{log.read_text() if log.exists() else ''}")
