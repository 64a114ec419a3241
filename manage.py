#!/usr/bin/env python
"""The commands of the project: `manage.py help` lists them."""

import os
import sys

if __name__ == "__main__":
    try:
        from django.core.management import execute_from_command_line

        from keygen_site.management.failures import explain_failure
        from keygen_site.management.monitoring import end_unknown
        from keygen_site.management.streams import discard_stdout, flush_stdout
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}. Run .venv/bin/python manage.py; `make run` installs it, if there is no .venv yet.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keygen_site.settings")
    os.umask(0o077)  # keys, tokens and private keys are in the files that commands and the server make
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:  # before the command began, or in a command of Django
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # in a command of Django: the reader of the output has gone, as of `| head`
        discard_stdout()
        sys.exit(5)
    except Exception as error:
        # Malformed settings: the interpreter's exit code for an error, 1, would say WARNING.
        if sys.argv[1:2] == ["check_pools"]:
            end_unknown(error)
        if "--traceback" not in sys.argv and (text := explain_failure(error)):
            sys.exit(text)
        raise
    finally:
        flush_stdout()
