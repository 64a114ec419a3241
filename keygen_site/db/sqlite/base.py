"""Django's SQLite backend, for connections that are kept between requests.

A connection keeps its file, even one that has been deleted or replaced since, by a backup say. What is written then
is lost, and keys that were handed out would be handed out again. So each request looks whether the file is still the
same one, and otherwise opens the new one.
"""

import os
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    _file: tuple[int, int] | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self._file = self._identity()  # before it is opened: if it is replaced meanwhile, the next request notices
        return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        return self._identity() == self._file

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode of the database's file; None if there is none, as of a database in memory."""
        try:
            status = os.stat(self.settings_dict["NAME"])
        except OSError:
            return None
        return status.st_dev, status.st_ino
