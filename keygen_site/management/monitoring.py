"""Output of commands that monitoring systems run as plugins (Nagios, Icinga).

Imports nothing of Django: an error in the settings must be reported too.
"""

import json
import sys
from typing import NoReturn

UNKNOWN = 3  # exit code


def say(line: str) -> None:
    """Print a line. Characters that the terminal's encoding lacks are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def end_unknown(error: BaseException, *, as_json: bool = False) -> NoReturn:
    """Print on one line why the state is unknown, and exit with UNKNOWN."""
    reason = " ".join(str(error).replace("|", "/").split())
    say(json.dumps({"state": "UNKNOWN", "reason": reason}) if as_json else f"UNKNOWN: {reason}")
    sys.exit(UNKNOWN)
