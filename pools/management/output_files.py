"""Files that commands write: complete or not at all, and readable only by their owner."""

import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TextIO

from django.core.management.base import CommandError
from django.db import connection

from keygen_site.management.project_command import EXIT_NOT_WRITTEN
from pools.key_files import escape_text


@contextmanager
def open_output(path: str, *, force: bool) -> Iterator[TextIO]:
    """Open a text file in UTF-8 to write; see `open_binary_output()`."""
    with _open(path, "w", force=force, encoding="utf-8", newline="") as out:
        yield out


@contextmanager
def open_binary_output(path: str, *, force: bool) -> Iterator[BinaryIO]:
    """Open a file to write that only its owner can read: a temporary file, which is renamed at the end.

    If the context ends with an error, an existing file is unchanged. Devices and pipes are written directly.

    Args:
        force: whether an existing file may be replaced. `PoolCommand.check_output` checks this before the work begins.

    Raises:
        CommandError: the file cannot be written.
    """
    with _open(path, "wb", force=force) as out:
        yield out


@contextmanager
def _open(path: str, mode: str, *, force: bool, **options: Any) -> Iterator[Any]:
    shown, target, temporary = escape_text(path), os.path.realpath(path), None
    try:
        if is_special(path):
            descriptor = os.open(path, os.O_WRONLY)
        else:  # made with mode 0600
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".keys-")
    except OSError as error:
        raise CommandError(f"{shown}: {error.strerror}") from None
    with exit_on_sigterm():
        try:
            with open(descriptor, mode, **options) as out:
                yield out
                out.flush()
                if temporary:
                    os.fsync(descriptor)
                    if not force and os.path.lexists(target):
                        raise CommandError(f"{shown} exists by now. Choose another file, or replace it with --force.")
                    os.replace(temporary, target)
        except OSError as error:
            raise CommandError(f"{shown}: {error.strerror}", returncode=EXIT_NOT_WRITTEN) from None
        finally:
            if temporary:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)


def is_special(path: str) -> bool:
    """Whether a path leads to something else than a file, e.g. a device or a pipe. False if there is nothing yet.

    Raises:
        OSError: a file cannot be made there either, e.g. because the name is too long.
    """
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let the signal SIGTERM end the process by an exception, so that temporary files are deleted."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def database_files() -> list[str]:
    """The paths of the SQLite database's files; none on PostgreSQL."""
    if connection.vendor != "sqlite":
        return []
    database = str(connection.settings_dict["NAME"])
    return [database, f"{database}-wal", f"{database}-shm"]


def is_same_file(one: str, other: str) -> bool:
    """Whether two paths lead to the same file. False if either does not exist."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
