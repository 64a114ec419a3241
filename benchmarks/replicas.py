"""A PostgreSQL server with a streaming replica that can take over."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from benchmarks.testbed.postgresql import for_server

# A shell script runs both servers, in the folders one and two, and stops them when the pipe to its parent closes. It
# reads commands from lines, and prints a line after each. `synchronous_standby_names` is set on the primary when its
# replica is running, after the replica was copied: a promoted replica must not wait for a replica of its own.
KEEPER = """
sql() { "$BIN/psql" -h "$PWD/$1" -U postgres -At -c "$2" "${3:-postgres}"; }
start() { "$BIN/pg_ctl" -D "$1/data" -l "$1/log" -w -o "-c unix_socket_directories=$PWD/$1" start; }
first() {
    mkdir one two && "$BIN/initdb" -D one/data -U postgres -A trust -E UTF8 --no-instructions \
        --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 \
        --set=listen_addresses= --set=max_connections=200 &&
    start one && "$BIN/createdb" -h "$PWD/one" -U postgres keygen
}
follow() {
    rm -rf "$2/data" && "$BIN/pg_basebackup" -h "$PWD/$1" -U postgres -D "$2/data" -c fast -R && start "$2" &&
    sql "$1" "ALTER SYSTEM SET synchronous_standby_names = '$STANDBYS'" && sql "$1" "SELECT pg_reload_conf()" &&
    until [ "$(sql "$1" "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'")" = "$WANTED" ]
    do sleep 0.1; done
}
fall_behind() { kill -STOP "$(sql "$1" "SELECT pid FROM pg_stat_replication")"; }
die() {
    postmaster=$(head -n 1 "$1/data/postmaster.pid")
    kill -9 "$postmaster" $(cat "/proc/$postmaster/task/$postmaster/children")
}
promote() { "$BIN/pg_ctl" -D "$1/data" -w promote; }
primary=one; other=two
answer() { if "$@" >>keeper.log 2>&1; then echo ready; else echo failed; fi; }
answer first
while read -r command; do
    case $command in
        follow) answer follow $primary $other ;;
        fall_behind) answer fall_behind $primary ;;
        die) answer die $primary ;;
        promote) answer promote $other; swap=$primary; primary=$other; other=$swap ;;
    esac
done
for folder in one two; do "$BIN/pg_ctl" -D $folder/data -m immediate stop; done >>keeper.log 2>&1
rm -rf "$PWD"
"""


class ReplicatedServer:
    """A primary and its replica. `url` names both, and connects to the one that is writable."""

    def __init__(self, keeper: "subprocess.Popen[str]", folder: Path) -> None:
        self.keeper, self.folder = keeper, folder
        hosts = ",".join(quote(str(folder / name), safe="") for name in ("one", "two"))
        self.url = f"postgres://postgres@{hosts}/keygen?target_session_attrs=read-write"

    def run(self, command: str | None = None) -> None:
        """Run a command of the script and wait until it has finished; without a command, wait until it is ready.

        Args:
            command: `follow` creates a new replica of the primary, `fall_behind` stops the replication, `die` kills all
                processes of the primary, `promote` makes the replica the primary.
        """
        stdin, stdout = cast(Any, self.keeper.stdin), cast(Any, self.keeper.stdout)
        if command:
            stdin.write(command + "\n")
            stdin.flush()
        if stdout.readline() != "ready\n":
            logs = [log.read_text()[-3000:] for log in self.folder.rglob("*log") if log.is_file()]
            raise RuntimeError(f"PostgreSQL failed ({command}):\n" + "\n".join(logs))


@contextmanager
def replicated_postgresql(synchronous: bool = True) -> Iterator[ReplicatedServer]:
    """Run a `ReplicatedServer` until the context ends.

    Args:
        synchronous: whether the primary waits for its replica at each commit.
    """
    folder = Path(tempfile.mkdtemp(prefix="replicated-")).resolve()
    try:
        package, identity = for_server(folder)
        environment = {
            "PATH": os.defpath,
            "BIN": str(package / "pginstall18" / "bin"),
            "PWD": str(folder),
            "LC_ALL": "C",
            "STANDBYS": "*" if synchronous else "",
            "WANTED": "sync" if synchronous else "async",
        }
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
            start_new_session=True,
            **identity,
        )
        try:
            replicated = ReplicatedServer(keeper, folder)
            replicated.run()
            yield replicated
        finally:
            cast(Any, keeper.stdin).close()
            keeper.wait(timeout=60)
            cast(Any, keeper.stdout).close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
