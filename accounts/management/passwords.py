"""Where commands get passwords from: never from an argument, which other users of the machine can read."""

import os
import sys
from getpass import getpass

from django.core.management.base import CommandError


def ask_password(whose: str) -> str:
    """Ask for a password twice; without a terminal, read it from the first line of standard input.

    Raises:
        CommandError: the two differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass(f"New password of {whose}: ")
    if getpass("The same again: ") != password:
        raise CommandError("The two passwords differ. Nothing was changed.")
    return password


def read_variable(name: str) -> str:
    """The password in an environment variable.

    Raises:
        CommandError: the variable is not set, or empty.
    """
    if password := os.environ.get(name, ""):
        return password
    raise CommandError(f"The environment variable {name} is not set. Set it: export {name}=...", returncode=2)
