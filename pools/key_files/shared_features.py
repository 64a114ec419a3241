"""Features that all lines of a file of keys share."""

import re
from collections.abc import Sequence
from os.path import commonprefix

from pools.key_files.file_warnings import MAX_EXAMPLES
from pools.key_files.line_kinds import SEVERAL, SPREADSHEET, URL, classify_line, is_name, is_words
from pools.key_files.look_alikes import NumberedText
from pools.key_files.shapes import shape

QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“”", "«": "»", "»": "«", "`": "`", "‘": "’"}
NAMES = {",": "a comma", ";": "a semicolon", "|": "a bar (|)"}
PLURALS = {",": "commas", ";": "semicolons", "|": "bars (|)", "^": "circumflexes (^)", "¦": "broken bars (¦)"}
GUARD = re.compile(r"'[^']+$|=\"[^\"]*\"$")
BULLET = re.compile(r"[-*•·▪►>–—+]\s+\S")
_NUMBER = re.compile(r"\W{0,2}(\d{1,7})(?:[.):\]]\s*|\s+(?:[-–—]\s+)?)\S")
_NUMBER_WITH_MARK = re.compile(r"\W{0,2}\d{1,7}[.)\]]\s")
LABEL_PREFIX = re.compile(
    r"\W{0,2}[^\W\d_][\w .#'-]{0,30}?\s*(?:[:=]\s+|[-–—=]>\s*|\s[-–—]\s+|[:=]\s*[\"'])|(?:key|code|serial)s?\s+",
    re.IGNORECASE,
)
_WORD_SUFFIX = re.compile(r"\s+\W*[^\W\d_]{2,}\W*$")
_FEW_DIGITS = re.compile(r"[^\d]{3,}\d{0,4}")
_FIRST_WORD = re.compile(r"\W?[^\W\d_]{3,}")
_LONG_NUMBER = re.compile(r"\d{16,}")


def find_columns(texts: Sequence[str]) -> str:
    """The character that all texts have equally often, as rows of a table have their delimiter; or empty."""
    if len(texts) < 2 or {classify_line(text) for text in texts[:MAX_EXAMPLES]} <= {URL, SPREADSHEET, SEVERAL}:
        return ""
    for delimiter in ";|,^¦":
        counts = {text.count(delimiter) for text in texts}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return ""


def are_numbered(texts: Sequence[str]) -> bool:
    """Whether texts begin with consecutive numbers."""
    first = _NUMBER.match(texts[0])
    if not first:
        return False
    number = int(first[1])
    # Keys may begin with any number; a mark behind it makes it a number of a list.
    if (len(texts) == 1 or number > 1) and not _NUMBER_WITH_MARK.match(texts[0]):
        return False
    for expected, text in enumerate(texts, number):
        found = _NUMBER.match(text)
        if not found or int(found[1]) != expected:
            return False
    return True


def find_word_suffix(texts: Sequence[str]) -> str:
    """The words that all texts end with, or empty."""
    reversed_texts = [text[::-1] for text in texts]
    found = _WORD_SUFFIX.search(commonprefix([min(reversed_texts), max(reversed_texts)])[::-1])
    return found[0].strip() if found and not all(map(is_words, texts[:MAX_EXAMPLES])) else ""


def are_rounded(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers of more digits than a spreadsheet keeps, with zeros in place of the others."""
    numbers = [text for text in texts if _LONG_NUMBER.fullmatch(text)]
    zeros = sum(len(text) - 15 for text in numbers)
    # A few numbers may have some zeros by chance.
    return len(numbers) == len(texts) and zeros >= 6 and not any(text[15:].strip("0") for text in numbers)


def find_names_by_turns(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The names of a file in which names and keys alternate, among its first lines; none of another file."""
    if len(head) < 4:
        return []
    names = [is_name(each.text) for each in head]
    for period in (2, 3):
        shares = [sum(names[place::period]) / len(names[place::period]) for place in range(period)]
        if max(shares) < 0.9 or min(shares) > 0.1:
            continue
        of_names = [each for index, each in enumerate(head) if shares[index % period] >= 0.9 and names[index]]
        of_keys = [each for index, each in enumerate(head) if shares[index % period] <= 0.1]
        if not {shape(each.text) for each in of_names} & {shape(each.text) for each in of_keys}:
            return of_names
    return _find_names_between_keys(head) or _find_numbers_between_keys(head)


def _find_names_between_keys(head: Sequence[NumberedText]) -> list[NumberedText]:
    """Every second line, if the others have one shape and these have several and hardly a digit."""
    if len(head) < 6:
        return []
    for first in (0, 1):
        names, keys = head[first::2], head[1 - first :: 2]
        shapes_of_keys = {shape(each.text) for each in keys}
        shapes_of_names = {shape(each.text) for each in names}
        if (
            len(shapes_of_keys) == 1 < len(shapes_of_names)
            and not shapes_of_keys & shapes_of_names
            and all(_FEW_DIGITS.fullmatch(each.text) for each in names)
            and not any(_FEW_DIGITS.fullmatch(each.text) for each in keys)
        ):
            return list(names)
    return []


def _find_numbers_between_keys(head: Sequence[NumberedText]) -> list[NumberedText]:
    """Every second line, if these have another shape than the others and the same first word: `ORDER-10021`."""
    if len(head) < 6:
        return []
    for first in (0, 1):
        numbers, keys = head[first::2], head[1 - first :: 2]
        shapes = [{shape(each.text) for each in lines} for lines in (numbers, keys)]
        if (
            len(shapes[0]) <= 2
            and not shapes[0] & shapes[1]
            and _FIRST_WORD.match(commonprefix([each.text for each in numbers]))
            and not _FIRST_WORD.match(commonprefix([each.text for each in keys]))
        ):
            return list(numbers)
    return []
