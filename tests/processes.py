"""Running management commands on the test database, in separate processes or in this one."""

import os
import runpy
import subprocess
import sys
from functools import partial
from io import BufferedReader, BytesIO, TextIOWrapper
from typing import NamedTuple
from unittest.mock import patch

from django.conf import settings
from django.db import connection


class Outcome(NamedTuple):
    """The exit code and the output of a command. The output must be UTF-8."""

    code: int
    out: str
    err: str


def manage(*arguments, stdin=b"", stdout=subprocess.PIPE, **environment):
    """Run `manage.py` in a new process and return its `Outcome`.

    Args:
        stdin: bytes, or an open file.
        stdout: an open file for the output, which is then not in the outcome; or None to close standard output.
        environment: variables in addition to those of the tests.
    """
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    if stdout is None:
        given["preexec_fn"] = partial(os.close, 1)
    outcome = subprocess.run(
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=300,
        **invocation(*arguments, **environment),
        **given,
    )
    return Outcome(outcome.returncode, (outcome.stdout or b"").decode(), outcome.stderr.decode())


def invocation(*arguments, **environment):
    """The arguments of `subprocess` that run `manage.py` on the test database."""
    return {
        "args": [sys.executable, "manage.py", *map(str, arguments)],
        "cwd": settings.BASE_DIR,
        "env": os.environ | {"DATABASE_URL": url_of_database()} | environment,
    }


class Terminal(TextIOWrapper):
    """A stream that a command takes for a terminal."""

    def isatty(self):
        return True


def manage_here(*arguments, stdin=b"", stdout=subprocess.PIPE, encoding="utf-8", stream=TextIOWrapper):
    """Run `manage.py` in this process, which costs a hundredth of a new one, and return its `Outcome`.

    Args:
        stdin, stdout: as for `manage`.
        encoding: of standard output, as in PYTHONIOENCODING: `ascii:replace`.
        stream: the class of the streams, e.g. `Terminal`.
    """
    encoding, _, errors = encoding.partition(":")
    printed, failed = BytesIO(), BytesIO()
    # A copy of the descriptor, because the command may redirect it.
    target = printed if stdout == subprocess.PIPE else stdout and os.fdopen(os.dup(stdout.fileno()), "wb")
    source = BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    streams = {
        "stdin": TextIOWrapper(BufferedReader(source), encoding="utf-8"),
        "stdout": target and stream(target, encoding=encoding, errors=errors or "strict", write_through=True),
        "stderr": stream(failed, encoding="utf-8", write_through=True),
    }
    umask = os.umask(0o022)
    # The priority of this process could not be raised again.
    with patch("os.nice"), patch.multiple(sys, argv=["manage.py", *map(str, arguments)], **streams):
        try:
            runpy.run_path(str(settings.BASE_DIR / "manage.py"), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            os.umask(umask)
    outcome = Outcome(code, printed.getvalue().decode(), failed.getvalue().decode())
    if target and target is not printed:
        streams["stdout"].close()  # fails if the command has left anything in the buffer of a broken output
    return outcome


def url_of_database():
    """Return the DATABASE_URL of the test database."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    url = settings.DATABASES["default"] | known
    host = url["HOST"].replace("/", "%2F")
    port = f":{url['PORT']}" if url["PORT"] else ""
    secret = f":{url['PASSWORD']}" if url["PASSWORD"] else ""
    return f"postgres://{url['USER']}{secret}@{host}{port}/{url['NAME']}"
