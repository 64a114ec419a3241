"""Characters that the text of a key must not have: those that cannot be seen, and those that are no characters.

With them two keys would look the same, and a customer could not type one. The rule is the same for the key of a license
and for a key of a pool, wherever it comes from.
"""

import re
import unicodedata
from typing import NamedTuple

# Visible by their category, but drawn as nothing or as a blank: fillers, variation selectors and the like.
_BLANK_RANGES = (
    "\u034f"  # combining grapheme joiner
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers
    "\u17b4\u17b5"  # Khmer inherent vowels
    "\u180b-\u180d\u180f"  # Mongolian variation selectors
    "\u2800"  # Braille pattern blank
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
    "\U00016fe4"  # Khitan small script filler
    "\U0001d159"  # musical null notehead
)
# In place of a character or an object that was lost.
_REPLACEMENTS = "\ufffc\ufffd"
_VISIBLE_BY_CATEGORY = re.compile(f"[{_BLANK_RANGES}{_REPLACEMENTS}]")
# Unicode has no names for control characters. These are the ones that files have.
_CONTROL_NAMES = {
    0x00: "NULL",
    0x09: "TAB",
    0x0A: "LINE FEED",
    0x0B: "VERTICAL TAB",
    0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN",
    0x1A: "SUBSTITUTE (^Z)",
    0x1B: "ESCAPE",
    0x7F: "DELETE",
    0x85: "NEXT LINE",
}
_CATEGORY_NAMES = {
    "Cc": "control character",
    "Cn": "unassigned",
    "Co": "private use",
    "Cs": "surrogate",
}


class HiddenCharacter(NamedTuple):
    """A character that a key must not have.

    Attributes:
        position: from 1.
    """

    character: str
    position: int

    @property
    def is_control(self) -> bool:
        return unicodedata.category(self.character) == "Cc"

    def __str__(self) -> str:
        """For example `U+200B ZERO WIDTH SPACE at character 14`."""
        code = ord(self.character)
        name = unicodedata.name(self.character, "") or _CONTROL_NAMES.get(code, "")
        name = name or f"({_CATEGORY_NAMES.get(unicodedata.category(self.character), 'no name')})"
        return f"U+{code:04X} {name} at character {self.position}"


def has_hidden_characters(text: str) -> bool:
    """Whether a text, or many joined ones, has a character that cannot be seen or is no character."""
    # A printable text has no character of the categories Cc, Cf, Cn, Co, Cs, Zl and Zp, and of Zs only the space.
    return not text.isprintable() or (not text.isascii() and bool(_VISIBLE_BY_CATEGORY.search(text)))


def find_hidden_character(text: str) -> HiddenCharacter | None:
    """The first character of a text that cannot be seen or is no character, or None. A space can be seen."""
    if not has_hidden_characters(text):
        return None
    position = next(index for index, character in enumerate(text, 1) if has_hidden_characters(character))
    return HiddenCharacter(text[position - 1], position)


def hidden_character_error(text: str) -> str | None:
    """Why a text cannot be a key, as the detail of an error, or None."""
    hidden = find_hidden_character(text)
    if hidden is None:
        return None
    kind = "a control character" if hidden.is_control else "a character that cannot be seen"
    return f"has {kind}, {hidden}"
