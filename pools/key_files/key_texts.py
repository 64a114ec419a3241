"""Which texts can be keys."""

import re
from typing import NamedTuple

from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS, RESERVED_KEYS
from pools.key_files.lines import Reason

# Anything but control characters (Unicode's category Cc), and no blank at either end.
_KEY = re.compile(rf"(?!\s)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{{MIN_KEY_CHARACTERS},{MAX_KEY_CHARACTERS}}}(?<!\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSAFE = re.compile(f"{_CONTROL.pattern}|{_SURROGATE.pattern}")
# Lines of these characters have no fault; the shortest reserved text is shorter than a key.
PLAIN_LINES = re.compile(rf"(?:[!-~][ -~]{{{MIN_KEY_CHARACTERS - 2},{MAX_KEY_CHARACTERS - 2}}}[!-~]\n)*")


class TextFault(NamedTuple):
    """Why a text cannot be a key.

    Attributes:
        detail: the position and the code point, e.g. `U+200B ZERO WIDTH SPACE at character 14`; or empty.
    """

    reason: Reason
    detail: str = ""


def find_text_fault(text: str) -> TextFault | None:
    """Why a text cannot be a key, or None."""
    if _KEY.fullmatch(text):
        return TextFault(Reason.RESERVED) if text in RESERVED_KEYS else None
    if _SURROGATE.search(text):
        return TextFault(Reason.NOT_UTF8)
    if text in RESERVED_KEYS:
        return TextFault(Reason.RESERVED)
    if found := _CONTROL.search(text):
        return TextFault(Reason.CONTROL, f"U+{ord(found[0]):04X} at character {found.start() + 1}")
    if text != text.strip():
        return TextFault(Reason.BLANKS)
    return TextFault(Reason.TOO_SHORT if len(text) < MIN_KEY_CHARACTERS else Reason.TOO_LONG)


def escape_text(text: str) -> str:
    """Escape control characters and bytes that are not UTF-8, e.g. `SCHL\\xdcSSEL`.

    Surrogates represent such bytes. PostgreSQL stores neither surrogates nor NUL, and UTF-8 cannot encode surrogates.
    """
    return _UNSAFE.sub(_escape_character, text)


def _escape_character(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte, see PEP 383
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
