"""Functions that each process of the server runs once when it starts. Commands do not run them."""

import threading
from collections.abc import Callable

from django.db import connection

_functions: list[Callable[[], None]] = []


def run_at_server_start(function: Callable[[], None]) -> None:
    """Register a function. It must not fail while the database does not respond."""
    _functions.append(function)


def run_start_functions() -> None:
    """Run the registered functions in a thread, so that the server accepts requests without waiting for them."""
    threading.Thread(target=_run, name="server start", daemon=True).start()


def _run() -> None:
    try:
        for function in _functions:
            function()
    finally:
        connection.close()
