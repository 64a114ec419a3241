"""Telling a header from a row with a key."""

import re
from collections.abc import Sequence

from pools.key_files.names import KEY_NAMES, OTHER_NAMES, STATE_NAMES, WEAK_KEY_NAMES, fold_name

_ALL_NAMES = KEY_NAMES | WEAK_KEY_NAMES | OTHER_NAMES | STATE_NAMES
_COMPARED = 200
_WORDS_AND_NUMBER = re.compile(r"[^\W\d](?:[^\W\d]|[ _.#-])*\d{1,4}[.:)]?")
_WITHOUT_DIGITS = re.compile(r"[^\d\[\]{}<>=;,|\\]{1,63}")
_RUN = re.compile(r"X+")


def has_key_name(row: Sequence[str]) -> bool:
    """Whether a cell is a known name of a column with keys."""
    return any(map(is_key_name, row))


def is_key_name(text: str) -> bool:
    """Whether a text is a known name of a column with keys."""
    return bool(_WITHOUT_DIGITS.fullmatch(text)) and fold_name(text) in KEY_NAMES


def is_known_header(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row is certainly a header: it has a known name of a column, and only words.

    Args:
        below: the rows below it. A name that occurs there too is none.
    """
    if has_key_name(row):
        return True
    if len(row) == 1:
        return fold_name(row[0]) in WEAK_KEY_NAMES
    return has_known_name(row, below) and not any(letter.isdigit() for cell in row for letter in cell)


def has_known_name(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a cell is a known name of any column, and does not occur in the column below it."""
    return any(
        fold_name(cell) in _ALL_NAMES and all(index >= len(other) or other[index] != cell for other in below)
        for index, cell in enumerate(row)
        if cell.strip()
    )


def may_be_header(text: str, others: Sequence[str]) -> bool:
    """Whether a text looks like a name or a title and unlike the texts below it.

    Args:
        others: texts below it, of the same column.
    """
    text, others = text.strip(), [other.strip() for other in others[:_COMPARED]]
    digits = sum(letter.isdigit() for letter in text)
    if not text or 2 * sum(letter.isalpha() or letter == " " for letter in text) < len(text):
        return False
    if not others:
        return not digits and (" " in text or not text.isupper())
    has_odd_blank = " " in text and not any(" " in other for other in others)
    if digits and not has_odd_blank and not _WORDS_AND_NUMBER.fullmatch(text):
        return False
    skeletons = {_skeleton(other) for other in others}
    cases = {_case(letter) for other in others for letter in other}
    if _skeleton(text) in skeletons and {_case(letter) for letter in text} <= cases:
        return False
    if not {_case(letter) for letter in text} <= cases or has_odd_blank:
        return True
    if _RUN.sub("X", _skeleton(text)) not in {_RUN.sub("X", skeleton) for skeleton in skeletons}:
        return True
    lengths = {len(other) for other in others}
    if len(others) >= 3 and len(lengths) == 1 and len(text) not in lengths:
        return True
    without_digits = sum(not any(letter.isdigit() for letter in other) for other in others)
    return not digits and without_digits * 10 < len(others)


def _skeleton(text: str) -> str:
    return "".join("X" if letter.isalnum() else letter for letter in text)


def _case(letter: str) -> str:
    return "A" if letter.isupper() else "a" if letter.islower() else "9" if letter.isdigit() else ""
