"""Keys that a person takes for the same, although their texts differ (`fold_text`)."""

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pools.key_files.key_texts import fold_text

MAX_FOLDED = 10_000
MAX_PLAIN = 1_000
_DASHES = "\u2010\u2011\u2013\u2014\u2212"  # hyphens, en dash, em dash, minus sign
_FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


class NumberedText(NamedTuple):
    """A key and the number of its line."""

    number: int
    text: str


class LookAlikes:
    """The keys of a file that may look like others.

    Attributes:
        pairs: keys that look like an earlier one of these, by number of the line, with that one.
    """

    def __init__(self) -> None:
        self._folded: dict[str, NumberedText] = {}  # the first MAX_FOLDED keys that are not plain ASCII
        self._plain: list[NumberedText] = []  # the first MAX_PLAIN keys of plain ASCII that have dashes
        self.pairs: dict[int, tuple[NumberedText, NumberedText]] = {}

    def add(self, texts: Sequence[str], numbers: Sequence[int], *, is_ascii: bool) -> None:
        """Add some keys.

        Args:
            is_ascii: whether all of them are plain ASCII.
        """
        if len(self._plain) < MAX_PLAIN:
            plain = (each for each in map(NumberedText, numbers, texts) if "-" in each.text and each.text.isascii())
            self._plain += [each for each, _ in zip(plain, range(MAX_PLAIN - len(self._plain)), strict=False)]
        if is_ascii or len(self._folded) >= MAX_FOLDED:
            return
        for number, text in zip(numbers, texts, strict=True):
            if not text.isascii() and len(self._folded) < MAX_FOLDED:
                first = self._folded.setdefault(fold_text(text), NumberedText(number, text))
                if first.text != text:
                    self.pairs[number] = (NumberedText(number, text), first)

    def variants(self) -> dict[str, NumberedText]:
        """Texts that look like keys of this file, with the key: its other forms of Unicode and of dashes."""
        found: dict[str, NumberedText] = {}
        for folded, each in self._folded.items():
            for text in (folded, *(unicodedata.normalize(form, each.text) for form in _FORMS)):
                if text != each.text:
                    found.setdefault(text, each)
        # Those of plain keys cost several look-ups each, so only a small file has them.
        if len(self._plain) < MAX_PLAIN:
            for each in self._plain:
                for dash in _DASHES:
                    found.setdefault(each.text.replace("-", dash), each)
        return found
