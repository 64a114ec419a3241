"""Django's SQLite backend, for connections that stay open between requests.

A connection keeps writing to its file after that was deleted or replaced, e.g. by a backup. Those writes are lost, and
keys that were handed out would be handed out again. So each request checks that the file is the same, and otherwise
opens the new one.
"""

import os
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

from keygen_site.db.sqlite.functions import FUNCTIONS


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that is not usable once its file was replaced. It has some more SQL functions."""

    _file: tuple[int, int] | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._create_private_file()
        self._file = self._identity()  # before it is opened, so that the next request notices a file replaced meanwhile
        connection = super().get_new_connection(conn_params)
        for name, (arity, function) in FUNCTIONS.items():
            connection.create_function(name, arity, function, deterministic=True)
        return connection

    def _create_private_file(self) -> None:
        """Create a missing file so that only its owner may read it. SQLite gives `-wal` and `-shm` the same mode."""
        name = str(self.settings_dict["NAME"])
        if not self.is_in_memory_db() and not name.startswith("file:"):
            with suppress(OSError):  # it exists, or SQLite reports the error
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def is_usable(self) -> bool:
        return self._identity() == self._file

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode of the database's file; None without a file (a database in memory)."""
        try:
            status = os.stat(self.settings_dict["NAME"])
        except OSError:
            return None
        return status.st_dev, status.st_ino
