"""Which texts can be keys, and which keys look alike."""

import re
import unicodedata
from typing import NamedTuple

from licensing.key_texts import find_hidden_character, has_hidden_characters
from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS, RESERVED_KEYS
from pools.key_files.lines import Reason

_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Lines of these characters have no fault; the shortest reserved text is shorter than a key.
PLAIN_LINES = re.compile(rf"(?:[!-~][ -~]{{{MIN_KEY_CHARACTERS - 2},{MAX_KEY_CHARACTERS - 2}}}[!-~]\n)*")
# Dashes and quotes that editors put in place of the ASCII ones. Others have the category Pd.
_LOOK_ALIKES = {"\u2212": "-", "\u02d7": "-", "\u2043": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}


class TextFault(NamedTuple):
    """Why a text cannot be a key.

    Attributes:
        detail: the position and the code point, e.g. `U+200B ZERO WIDTH SPACE at character 14`; or empty.
    """

    reason: Reason
    detail: str = ""


def find_text_fault(text: str) -> TextFault | None:
    """Why a text cannot be a key, or None."""
    if text in RESERVED_KEYS:
        return TextFault(Reason.RESERVED)
    if not text.isascii() and _SURROGATE.search(text):
        return TextFault(Reason.NOT_UTF8)
    if hidden := find_hidden_character(text):
        return TextFault(Reason.CONTROL if hidden.is_control else Reason.INVISIBLE, str(hidden))
    if text[:1] == " " or text[-1:] == " ":
        return TextFault(Reason.BLANKS)
    if not MIN_KEY_CHARACTERS <= len(text) <= MAX_KEY_CHARACTERS:
        return TextFault(Reason.TOO_SHORT if len(text) < MIN_KEY_CHARACTERS else Reason.TOO_LONG)
    return None


def fold_text(text: str) -> str:
    """A text that all keys share which look like this one: they differ in the form of their dashes and quotes, in
    Unicode normalisation, or in characters that cannot be seen.

    Upper and lower case differ.
    """
    if text.isascii():
        return text
    return "".join(map(_fold_character, unicodedata.normalize("NFKC", text)))


def fold_spelling(text: str) -> str:
    """A text that all keys share which a person may take for this one: see `fold_text`, and upper and lower case and
    blanks around the key do not differ either.
    """
    return fold_text(text).strip().casefold()


def _fold_character(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) == "Pd":
        return "-"
    return "" if has_hidden_characters(character) else _LOOK_ALIKES.get(character, character)


def escape_text(text: str) -> str:
    """Escape characters that cannot be seen and bytes that are not UTF-8, e.g. `SCHL\\xdcSSEL`, `KEY\\u200b`.

    Surrogates represent such bytes. PostgreSQL stores neither surrogates nor NUL, and UTF-8 cannot encode surrogates.
    """
    return "".join(map(_escape_character, text)) if has_hidden_characters(text) else text


def _escape_character(character: str) -> str:
    if not has_hidden_characters(character):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte, see PEP 383
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
