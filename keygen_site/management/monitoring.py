"""Output of commands that monitoring systems run as plugins (Nagios, Icinga).

Nothing of Django is imported: the settings may be what is wrong.
"""

import sys
from typing import NoReturn

UNKNOWN = 3


def say(line: str) -> None:
    """Print a line. Characters that the terminal's encoding lacks are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def end_unknown(error: BaseException) -> NoReturn:
    """Say on one line why the state could not be found out, and end with 3."""
    say(f"UNKNOWN: {' '.join(str(error).replace('|', '/').split())}")
    sys.exit(UNKNOWN)
