"""The features of a file's keys, collected at little cost for each line while the file is read.

Lines are grouped by their shape (letters and digits are alike, other characters stay), and only some lines of each
group are kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import contains, itemgetter
from os.path import commonprefix
from typing import Any, NamedTuple

from pools.key_files.file_warnings import MAX_EXAMPLES, Group
from pools.key_files.line_kinds import LineKind, classify_line, may_be_no_key
from pools.key_files.look_alikes import LookAlikes, NumberedText
from pools.key_files.shapes import ALIKE, CLASSES, reduce_shapes

_HEAD_LINES = 2_000  # features that all lines share are looked for in these
_LINES_AT_ONCE = 2_000  # few, because each takes memory while it is looked at
_LAST_LINES = 3  # are examined in any form, because files end with totals
_MAX_GROUPS = 2_000
_MAX_SHAPES = 5_000


class GroupKey(NamedTuple):
    """Lines of one shape and of the same kinds of characters."""

    shape: str
    has_upper: bool
    has_lower: bool
    has_digit: bool
    is_ascii: bool


class LineProfile:
    """The features of a file's keys, collected in flat memory while the file is read.

    Args:
        file: the index of the file.
        is_text: whether each line is a key as a whole. The keys of a table may have the characters that delimit cells.
    """

    def __init__(self, file: int = 0, *, is_text: bool = True) -> None:
        self.file, self.is_text, self.count = file, is_text, 0
        self.look_alikes = LookAlikes()
        self._head: list[NumberedText] = []
        self._groups: dict[GroupKey, Group] = {}
        self._other = Group()  # lines of further shapes
        self._other_kinds: dict[LineKind, Group] = {}
        self._lengths: dict[int, Group] = {}
        self._shapes: Counter[str] = Counter()  # with the numbers of letters and digits
        self._firsts: Counter[str] = Counter()
        self._lasts: Counter[str] = Counter()
        self._prefix: str | None = None
        self._last_text = ""
        self._last_lines: list[NumberedText] = []

    def add(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        """Add some keys with the numbers of their lines, in the order of the file."""
        for start in range(0, len(texts), _LINES_AT_ONCE):
            end = start + _LINES_AT_ONCE
            self._add(texts[start:end], numbers[start:end])

    def _add(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        self.count += len(texts)
        if len(self._head) < _HEAD_LINES:
            self._head += map(NumberedText, numbers[:_HEAD_LINES], texts[: _HEAD_LINES - len(self._head)])
        self._firsts.update(map(itemgetter(0), texts))
        self._lasts.update(map(itemgetter(-1), texts))
        self._last_text = texts[-1]
        last = map(NumberedText, numbers[-_LAST_LINES:], texts[-_LAST_LINES:])
        self._last_lines = [*self._last_lines, *last][-_LAST_LINES:]
        if self._prefix != "":
            ends = [min(texts), max(texts)]
            self._prefix = commonprefix(ends if self._prefix is None else [self._prefix, *ends])
        joined = "\n".join(texts)
        self._add_shapes(joined, texts, numbers)
        self._add_lengths(texts, numbers)
        self.look_alikes.add(texts, numbers, is_ascii=joined.isascii())

    def _add_shapes(self, joined: str, texts: Sequence[str], numbers: Sequence[int]) -> None:
        classes = joined.translate(CLASSES)
        shapes = classes.translate(ALIKE).split("\n")
        lines = classes.split("\n")
        flags = [map(contains, lines, repeat(each)) if each in classes else repeat(False) for each in "Aa9"]
        is_ascii: Iterable[bool] = repeat(True) if joined.isascii() else map(str.isascii, texts)
        keys = list(zip(shapes, *flags, is_ascii, strict=False))
        hungry: dict[tuple[Any, ...], Group] = {}
        counts = Counter(keys)
        reduced_shapes = reduce_shapes([shape for shape, *_ in counts])
        for (key, count), reduced in zip(counts.items(), reduced_shapes, strict=True):
            shape = key[0]
            if shape in self._shapes or len(self._shapes) < _MAX_SHAPES:
                self._shapes[shape] += count
            group_key = GroupKey(reduced, *key[1:])
            group = self._groups.get(group_key)
            if group is None and len(self._groups) < _MAX_GROUPS:
                group = self._groups[group_key] = Group()
            if group is None:
                group = hungry[key] = self._other
            elif len(group.examples) < MAX_EXAMPLES:
                hungry[key] = group
            group.count += count
        if hungry:
            for key, number, text in zip(keys, numbers, texts, strict=True):
                found = hungry.get(key)
                if found is self._other:
                    self._add_other(number, text)
                if found is not None and found.is_hungry:
                    found.examples.append(NumberedText(number, text))

    def _add_other(self, number: int, text: str) -> None:
        if may_be_no_key(text) and (kind := classify_line(text)):
            group = self._other_kinds.setdefault(kind, Group())
            group.count += 1
            if group.is_hungry:
                group.examples.append(NumberedText(number, text))

    def _add_lengths(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        lengths = list(map(len, texts))
        hungry = {}
        for length, count in Counter(lengths).items():
            group = self._lengths.setdefault(length, Group())
            group.count += count
            if group.is_hungry:
                hungry[length] = group
        if hungry:
            for length, number, text in zip(lengths, numbers, texts, strict=True):
                found = hungry.get(length)
                if found is not None and found.is_hungry:
                    found.examples.append(NumberedText(number, text))
