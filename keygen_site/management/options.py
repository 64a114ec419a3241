"""Types of command options, for `add_argument(type=…)`: a bad value ends a command with 2 before it does anything."""

from argparse import ArgumentTypeError


def path(text: str) -> str:
    """A path, in any encoding that the file system uses. It must not be blank."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty or blank (is a variable of the shell not set?)")
    return text


def count(text: str) -> int:
    """A number of at least 1."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be 1 or more")
    return number


def name(text: str) -> str:
    """A name or an id. It must be UTF-8 and not blank."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("must be UTF-8") from None
    return path(text)
