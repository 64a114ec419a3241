"""Secrets that commands read from files: never from an argument, which other users of the machine can read."""

from django.core.management.base import CommandError

from pools.key_files import escape_text

MAX_SECRET_BYTES = 4096


def read_secret_file(path: str) -> str:
    """The secret in a file, without the end of its line. It may come from a pipe, e.g. `<(pass show export)`.

    Raises:
        CommandError: the file cannot be read, or is not a single line of UTF-8. The error does not quote it.
    """
    shown = escape_text(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise CommandError(f"--secret-file: {shown}: {error.strerror}", returncode=2) from None
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if not line or len(content) > MAX_SECRET_BYTES or b"\n" in line:
        problem = f"must have one line with the secret, of {MAX_SECRET_BYTES:,} bytes at most"
        raise CommandError(f"--secret-file: {shown} {problem}.", returncode=2)
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise CommandError(f"--secret-file: {shown} must be UTF-8.", returncode=2) from None
