"""Splitting text into lines."""

from collections.abc import Iterable, Iterator

MAX_LINE_CHARACTERS = 1 << 16  # far above the longest key, so that a row may have other columns
OVERLONG_LINE = "\ud800\ud800"  # replaces a line that is too long to be read; no text has these
_FILLING = "\0\x1a"  # at the end of a file: of records of a fixed size, and the end-of-file mark of DOS
_MARK = "\ufeff"  # a byte order mark, also in the middle of joined files


def find_line_ends(text: str) -> str | None:
    """The line ends of a text: `lf`, `crlf`, `cr`, `cr-crlf` (CR CR LF), `mixed`, or None in a single line.

    CR alone ends a line only where no LF does; an LF within quotes does not.
    """
    newlines = text.count("\n")
    unquoted = text if '"' not in text else "".join(text.split('"')[::2])
    if "\n" not in unquoted:
        return "cr" if "\r" in unquoted else "lf" if newlines else None
    with_two = text.count("\r\r\n")
    with_one = text.count("\r\n") - with_two
    counts = {"lf": newlines - with_one - with_two, "crlf": with_one, "cr-crlf": with_two}
    used = [name for name, count in counts.items() if count]
    return used[0] if len(used) == 1 else "mixed"


def split_lines(blocks: Iterable[str], line_ends: str | None) -> Iterator[list[str]]:
    """The lines of a text without their ends, as many at a time as a block has.

    Byte order marks at the beginning of a line are removed. A line longer than MAX_LINE_CHARACTERS becomes
    OVERLONG_LINE.
    """
    end = "\r" if line_ends == "cr" else "\n"
    rest, is_overlong = "", False
    for block in blocks:
        *lines, rest = (rest + block).split(end)
        if is_overlong and lines:
            lines[0] = OVERLONG_LINE
            is_overlong = False
        if len(rest) > MAX_LINE_CHARACTERS:
            is_overlong = is_overlong or bool(rest.strip(_FILLING))
            rest = ""
        if lines:
            yield _clean(lines, block)
    if is_overlong:
        yield [OVERLONG_LINE]
    elif rest := rest.rstrip(_FILLING):
        yield _clean([rest], rest)


def _clean(lines: list[str], block: str) -> list[str]:
    # The first line may begin in the block before.
    if "\r" in block or "\r" in lines[0]:
        lines = [line.rstrip("\r") for line in lines]
    if _MARK in block or lines[0].startswith(_MARK):
        lines = [line.removeprefix(_MARK) for line in lines]
    if len(block) > MAX_LINE_CHARACTERS or len(lines[0]) > MAX_LINE_CHARACTERS:
        lines = [line if len(line) <= MAX_LINE_CHARACTERS else OVERLONG_LINE for line in lines]
    return lines
