"""Types of options, for `add_argument(type=…)`: wrong ones end a command with 2 before it has done anything."""

from argparse import ArgumentTypeError


def path(text: str) -> str:
    """A path, in whatever bytes the file system has. It must not be blank."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty or blank (is a variable of the shell not set?)")
    return text


def name(text: str) -> str:
    """A name or an id by which something is looked up or made. It must be UTF-8 and not blank."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("must be UTF-8") from None
    return path(text)
