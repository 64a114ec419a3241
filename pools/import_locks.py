"""Locks in files, for the imports on this machine. They are released when their process ends, even if it is killed.

They limit the imports that run within requests, the import workers and, on SQLite, the imports of each account.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings
from django.db import connection

from keygen_site.db.fields import digest
from keygen_site.jsonapi.errors import REFERENCE, DomainError


class ImportBusy(DomainError):
    """Another import of the account runs, or as many imports of the server as may run within requests."""

    status = 503
    title = "Service unavailable"
    detail = (
        "Another import is running. Nothing was added: please try again, or send the file with ?background=true, and "
        "the server imports it when its turn comes."
    )
    code = "IMPORT_BUSY"
    about = REFERENCE
    headers = {"Retry-After": "2"}


@contextmanager
def request_place() -> Iterator[None]:
    """A place for an import within a request: the setting IMPORTS_AT_ONCE limits their number on this machine.

    Raises:
        ImportBusy: no place is free.
    """
    lock = try_slots("request", settings.IMPORTS_AT_ONCE)
    if lock is None:
        raise ImportBusy
    with lock:
        yield


@contextmanager
def account_lock(account_id: UUID, *, wait: bool) -> Iterator[None]:
    """Keep other imports of an account out (SQLite).

    Raises:
        ImportBusy: another import of the account runs, and `wait` is false.
    """
    with _open(f"account-{account_id}") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ImportBusy from None
        yield


def try_slots(name: str, count: int) -> BinaryIO | None:
    """Lock one of several slots. Returns the file that holds the lock until it is closed; None if all are taken."""
    for number in range(count):
        lock = _open(f"{name}-{number}")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return lock
    return None


def _open(name: str) -> BinaryIO:
    return open(_folder() / name, "wb")


def _folder() -> Path:
    """The folder of this database's locks: next to the file of SQLite, else one for temporary files.

    Raises:
        PermissionError: another user of the machine has made it.
    """
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        folder = Path(f"{database['NAME']}-imports")
    else:
        server = digest(f"{database['HOST']}:{database['PORT']}/{database['NAME']}").hex()[:16]
        folder = Path(tempfile.gettempdir(), f"keygen-imports-{os.getuid()}-{server}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user of this machine: remove it")
    return folder
