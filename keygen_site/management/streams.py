"""Standard output that fails: its reader has gone, as of `| head`, or the disk is full."""

import os
import sys
from contextlib import suppress


def discard_stdout() -> None:
    """Redirect standard output, which is broken, so that Python does not fail once more when it ends."""
    with suppress(OSError, ValueError):  # it has no descriptor, or is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush_stdout() -> None:
    """Flush standard output at the end of the process. Quiet if the reader has gone."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        discard_stdout()
