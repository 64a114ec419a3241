"""Keys with more on their line: a mark, a name, a number, a sentence."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from pools.key_files.look_alikes import NumberedText
from pools.key_files.shapes import shape

_SHORTEST_KEY = 8
_USUAL_SHARE = 0.1  # of the lines that makes the form of a key usual
_SHARE = 0.8  # of the lines that makes a decoration one of the whole file
_MOST_LINES_EACH = 50  # lines of a file for each one that a search finds
_WITHIN_KEYS = "-_.+/="  # separate groups of keys, and are digits of base64
_RUNS = re.compile("x+")
_GROUPS = re.compile(r"[A-Z0-9]{3,}(?:[-_ .–—][A-Z0-9]{3,})+|[a-z0-9]{3,}(?:-[a-z0-9]{3,})+", re.ASCII)
_NAME = re.compile(r"[A-Z]?[a-z]{2,}")
_JOINT = "–"
_EVEN_GROUPS = re.compile(
    r"(?<!\S)(?:[A-Z0-9]{4}(?: [A-Z0-9]{4})+|[A-Z0-9]{5}(?: [A-Z0-9]{5})+|[A-Z0-9]{6}(?: [A-Z0-9]{6})+)(?!\S)"
)
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_LONG = re.compile(r"[^\W_]{8,}")
_OPEN, _CLOSE = "([{<\"'„“‘«`*_~", ")]}>\"'“”’»`*_~,;:.!?|"

# Marks that are no part of a key if all lines have them.
_BEFORE = re.compile(
    r"(>+|\+|\*+|\^|•|~|»|›|→|[\u2460-\u24ff\u2776-\u2793]|[\w. -]+\.(?:txt|csv|tsv|log|md|xlsx?|docx?):)"
    r"(?:\d+:)?(?=[^\W_])"
)
_AFTER = re.compile(r"(<br */?>|</\w+>|\\[rnt]|\\|%0[AaDd]|&\w{2,8};|&#x?\w{1,5};|\^|[✓✔✗✘☑☒✅❌])+$")
_TWICE = re.compile(r"(\S{6,}) *[:/|=,;~] *\1")
_LINE_NUMBER = re.compile(r"([1-9]\d{0,6}):[^:]{8,}")


def is_decorated(text: str, plain: Collection[str]) -> bool:
    """Whether a text is a key of a plain form, with other text next to it.

    Args:
        plain: the shapes of keys that the file has without other text.
    """
    form = shape(text)
    for key in plain:
        start = form.find(key)
        while start >= 0:
            end = start + len(key)
            before, after, is_upper = form[:start], form[end:][::-1], text[start:end].isupper()
            if _is_rest(before, key, text[:start], is_upper) and _is_rest(after, key, text[end:][::-1], is_upper):
                return len(form) > len(key)
            start = form.find(key, start + 1)
    return False


def _is_rest(rest: str, key: str, text: str, is_upper: bool) -> bool:
    """Whether a rest, of which the last character is next to a key, is empty or no part of the key."""
    if not rest:
        return True
    mark = rest[-1]
    if mark == "x" or "://" in text or "//:" in text:
        return False
    if "x" not in rest:
        return not set(rest) <= {"=", "_"} and not (rest in _WITHIN_KEYS and key.isalpha())
    if mark in _WITHIN_KEYS:
        return False
    if mark not in key:
        return True
    # Keys with another number of groups.
    is_group = {len(run) for run in _RUNS.findall(rest)} <= set(map(len, _RUNS.findall(key)))
    return mark.isspace() and (
        not is_group or (is_upper and bool(_NAME.fullmatch(text[::-1].strip()) or _NAME.fullmatch(text.strip())))
    )


def find_decorated(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The lines with other text next to the key, if almost all lines are such; else none."""
    for find in (_find_marked, _find_twice, _find_line_numbers, _find_between_blanks):
        found = find(head)
        if found and len(found) >= _SHARE * len(head):
            return found
    return []


def _find_marked(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The lines with the same mark before or after each key."""
    before = Counter(found[1] for each in head if (found := _BEFORE.match(each.text)))
    for mark, count in before.most_common(1):
        if count >= _SHARE * len(head) and (len(head) > 1 or len(mark) > 1):
            return [each for each in head if each.text.startswith(mark)]
    return [each for each in head if (found := _AFTER.search(each.text)) and (len(head) > 1 or len(found[0]) > 1)]


def _find_twice(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The lines of two keys of one form with a colon or a slash between."""

    def is_twice(text: str) -> bool:
        if _TWICE.fullmatch(text):
            return True
        for mark in ":/|":
            first, _, second = text.partition(mark)
            if len(first) == len(second) and _GROUPS.fullmatch(first) and _GROUPS.fullmatch(second):
                return shape(first) == shape(second)
        return False

    return [each for each in head if is_twice(each.text)]


def _find_line_numbers(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The lines with the number of a line before the key, as programs that search in files write them."""
    numbers = [int(found[1]) if (found := _LINE_NUMBER.fullmatch(each.text)) else 0 for each in head]
    if (
        0 in numbers
        or len(numbers) < 2
        or (len(numbers) < 4 and len({shape(each.text.partition(":")[2]) for each in head}) > 1)
    ):
        return []
    is_rising = all(first < second for first, second in zip(numbers, numbers[1:], strict=False))
    return list(head) if is_rising and numbers[-1] <= _MOST_LINES_EACH * len(numbers) else []


def _find_between_blanks(head: Sequence[NumberedText]) -> list[NumberedText]:
    """The lines of which one part between blanks has the form of a key, and the others have not."""
    if sum(len(each.text.split(maxsplit=1)) > 1 for each in head) < _SHARE * len(head):
        return []
    parts = [_split(each.text) for each in head]
    forms = Counter(shape(key) for key, _ in parts if key)
    usual = {form for form, count in forms.items() if count >= max(1, _USUAL_SHARE * len(head))}
    found, all_decorations = [], []
    for each, (key, others) in zip(head, parts, strict=True):
        decorations = [other for other in others if shape(other) != shape(key) or other == key]
        if decorations and shape(key) in usual and (len(head) > 1 or _are_words(decorations)):
            found.append(each)
            all_decorations.append((key, decorations))
    return [] if _are_groups(all_decorations) else found


def _are_groups(lines: Sequence[tuple[str, list[str]]]) -> bool:
    """Whether the texts next to keys may be further groups of these: of the same alphabet, with few lengths.

    Args:
        lines: the key and the other texts, of each line.
    """
    parts = [part for _, decorations in lines for part in decorations]
    keys = "".join(key for key, _ in lines)
    joined = "".join(part.replace("-", "") if _LETTER.search(part) else part for part in parts)
    words = "".join(part for part in parts if not _DIGIT.search(part))
    if not joined.isalnum() or not joined.isascii():
        return False
    for has_such in (str.islower, str.isupper, str.isalpha):
        if any(map(has_such, words)) and not any(map(has_such, keys)):
            return False
    if len(set(map(len, parts))) > max(len(decorations) for _, decorations in lines):
        return False
    if len(lines) > 2 and len(parts) == len(lines) and joined.isdigit():
        numbers = [int(part) for part in parts]
        if numbers == [*range(numbers[0], numbers[0] + len(numbers))]:
            return False
    return Counter(parts).most_common(1)[0][1] <= max(1, len(lines) // 2)


def _split(text: str) -> tuple[str, list[str]]:
    """The longest part of a text that looks like a key, or empty, and the other parts."""
    parts = _EVEN_GROUPS.sub(lambda found: found[0].replace(" ", _JOINT), text).split()
    keys = [stripped for part in parts if _is_key(stripped := part.lstrip(_OPEN).rstrip(_CLOSE))]
    if not keys or len(parts) < 2:
        return "", []
    key = max(keys, key=len)
    others = [part for part in parts if part.lstrip(_OPEN).rstrip(_CLOSE) != key]
    others += [key] * (len(parts) - len(others) - 1)
    return key, [piece for other in others for piece in (other.split(_JOINT) if other != key else [other])]


def _is_key(part: str) -> bool:
    if len(part) < _SHORTEST_KEY or "@" in part or "://" in part:
        return False
    return bool(_GROUPS.fullmatch(part)) or (bool(_DIGIT.search(part)) and bool(_LONG.search(part)))


def _are_words(parts: Sequence[str]) -> bool:
    return any((part.istitle() or part.islower() or not part.isalnum()) and not _DIGIT.search(part) for part in parts)
