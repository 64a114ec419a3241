"""Work that a request does not wait for, such as sending mail."""

import logging
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

EXIT_SECONDS = 5.0
_POLL_SECONDS = 0.5


def run_in_background(function: Callable[..., None], *args: Any) -> None:
    """Run a function in a thread. A process that exits waits up to `EXIT_SECONDS` for it, then logs that it is lost."""
    work = threading.Thread(target=function, args=args, daemon=True)
    work.start()
    # At exit Python waits for non-daemon threads, without a limit: this one has a limit. `atexit` does not run in the
    # processes that the server forks. A thread is a daemon by default if its creator is one, as in a request.
    threading.Thread(
        target=_outlast_main_thread, args=(work, f"{function.__module__}.{function.__name__}"), daemon=False
    ).start()


def _outlast_main_thread(work: threading.Thread, name: str) -> None:
    """Return when the work is done, or `EXIT_SECONDS` after the main thread has ended."""
    main = threading.main_thread()
    while work.is_alive() and main.is_alive():
        work.join(_POLL_SECONDS)
    work.join(EXIT_SECONDS)
    if work.is_alive():
        logger.error("%s was given up at exit: it took longer than %s seconds", name, EXIT_SECONDS)
