#!/usr/bin/env python
"""The commands of the project: `manage.py help` lists them."""

import os
import sys

from django.core.management import execute_from_command_line
from environs import EnvValidationError

from keygen_site.management.monitoring import end_unknown

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keygen_site.settings")
    os.umask(0o077)  # keys, tokens and private keys are in the files that commands and the server make
    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        # Malformed settings or wrong usage: the interpreter's exit code for an error, 1, would say WARNING.
        if sys.argv[1:2] == ["check_pools"]:
            end_unknown(error)
        if isinstance(error, EnvValidationError):
            sys.exit(str(error))  # one line, which names all malformed settings
        raise
