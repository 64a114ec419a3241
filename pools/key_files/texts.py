"""Lines of text as keys."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count, repeat

from pools.key_files.errors import FileUnreadable, option
from pools.key_files.headers import is_key_name
from pools.key_files.key_texts import PLAIN_LINES, escape_text, find_text_fault
from pools.key_files.limits import MAX_KEY_CHARACTERS
from pools.key_files.lines import Line, Reason
from pools.key_files.text_lines import OVERLONG_LINE

_SHOWN_CHARACTERS = 2 * MAX_KEY_CHARACTERS
_BLANKS = " \t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_PADDING = _BLANKS + "\0\x0c\x1a"  # old tools fill up records with NULs, and end pages and files
_EMPTY_CELL = '""'  # an empty row of CSV with one column
_is_quoted = re.compile(r'"(?:[^"]|"")+"').fullmatch
_is_words = re.compile(r"\D{3,63}$").match
_make_line = partial(tuple.__new__, Line)


def is_blank(text: str) -> bool:
    """Whether a text is empty or has only blanks, NULs, form feeds or ^Z."""
    return not text or not text.strip(_PADDING)


class KeyReader:
    """Makes lines of the texts of keys.

    Args:
        are_names_rejected: whether a known name of a column is no key.

    Attributes:
        trimmed: the number of keys from which blanks were removed.
    """

    def __init__(self, trim: bool = False, are_names_rejected: bool = True) -> None:
        self.trim, self.trimmed = trim, 0
        self.are_names_rejected = are_names_rejected

    def read(self, number: int, text: str, popped: str = "", is_used: bool = False) -> Line:
        """The line of a text, with the reason if it cannot be a key."""
        if not text or (text[0] in _PADDING and is_blank(text)) or text == _EMPTY_CELL:
            return Line(number, "")
        if self.trim and (trimmed := text.strip(_PADDING)) != text:
            self.trimmed += 1
            text = trimmed
        fault = find_text_fault(text) if text else None
        if not fault:
            return Line(number, text, None, popped, "", is_used)
        reason = Reason.TOO_LONG if OVERLONG_LINE in text else fault.reason
        return Line(number, self.show(text), reason, detail=fault.detail)

    def reject_used(self, number: int, text: str, detail: str) -> Line:
        """The line of a row that a state column calls used. Its text is the key, as `read` has it."""
        trimmed = self.trimmed
        line = self.read(number, text)
        self.trimmed = trimmed
        return Line(number, line.text, Reason.USED_ROW, detail=self.show(detail))

    @staticmethod
    def show(text: str) -> str:
        """A text for reports: escaped, and shortened."""
        return escape_text(text[:_SHOWN_CHARACTERS].replace(OVERLONG_LINE, ""))

    def read_text(self, blocks: Iterable[list[str]], first: int, is_told: bool = True) -> Iterator[list[Line]]:
        """The lines of a text, many at a time.

        Args:
            first: the number of the first line that is not a title or a header.
            is_told: whether it is certainly no CSV.

        Raises:
            FileUnreadable: some lines are in quotes, as in CSV, and others are not.
        """
        number = 1
        for lines in blocks:
            if number < first:
                skipped = min(first - number, len(lines))
                number, lines = number + skipped, lines[skipped:]
            if not is_told:
                _refuse_some_quotes(number, lines)
            yield self._read_block(number, lines)
            number += len(lines)

    def _read_block(self, number: int, lines: list[str]) -> list[Line]:
        block = "\n".join(lines) + "\n"
        if PLAIN_LINES.fullmatch(block):
            read = list(map(_make_line, zip(count(number), lines, repeat(None), repeat(""), repeat(""), repeat(False))))
        else:
            read = [self.read(each, text) for each, text in enumerate(lines, number)]
        names = set(filter(is_key_name, filter(_is_words, lines))) if self.are_names_rejected else ()
        if not names:
            return read
        return [line._replace(reason=Reason.HEADER) if line.text in names else line for line in read]


def _refuse_some_quotes(number: int, lines: list[str]) -> None:
    quoted = [each for each, line in enumerate(lines, number) if line[:1] == '"' and _is_quoted(line)]
    if quoted and len(quoted) < sum(not is_blank(line) for line in lines):
        raise FileUnreadable(
            f"Line {quoted[0]:,} is in quotes, and other lines are not. If the quotes belong to the keys, say so: "
            f"{option('format', 'text')}. If the file is CSV, where they do not, say: {option('format', 'csv')}"
        )
