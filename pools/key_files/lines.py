"""Lines of a file of keys, and the reasons for which a line is not added."""

from enum import Enum
from typing import NamedTuple

from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS


class Reason(Enum):
    """Why a line was not added. The value is the end of a sentence that begins with "The key"."""

    REPEATED = "is in the file twice"
    AVAILABLE = "is already in this pool"
    STILL_AVAILABLE = "is available in a pool, although it was used: withdraw it there"
    ELSEWHERE = "is already in another pool"
    POPPED = "was popped before"
    WITHDRAWN = "was withdrawn"
    LICENSE = "is already a license's key"
    LICENSE_ID = "is a license's identifier"
    TAKEN = "is already taken in this account"  # all that a product learns about keys of other products
    USED = "was used before, by a key or license that has been deleted"
    RESERVED = "is reserved"
    TOO_SHORT = f"is too short (minimum is {MIN_KEY_CHARACTERS} characters)"
    TOO_LONG = f"is too long (maximum is {MAX_KEY_CHARACTERS} characters)"
    BLANKS = "begins or ends with a blank"
    CONTROL = "has control characters"
    INVISIBLE = "has characters that cannot be seen"
    NOT_UTF8 = "is not UTF-8"
    MALFORMED = "is missing: the line does not have the file's format"
    CELLS = "is uncertain: the row has more or fewer cells than the header or the other rows"
    HEADER = "is the name of a column"
    TOTAL = "is a total or a count"
    USED_ROW = "is used, as another column of its row says"
    MANGLED = "was changed by a spreadsheet"
    NOT_A_TIME = "has no valid time in the column popped"

    @property
    def code(self) -> str:
        return self.name.lower()


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: from 1: of the line in a text, the row in a workbook, the element in a JSON array.
        text: the key; empty for a blank line. Escaped by `escape_text` if there is a reason.
        reason: why the line is rejected, if it is.
        popped: the text of the column or member `popped`, as in our own exports; empty without one.
        detail: more about the reason: the position and code point of a character, the cell, the state's text.
        is_used: a state column calls the row used, and `ReadOptions.used_rows` is `used`.
    """

    number: int
    text: str
    reason: Reason | None = None
    popped: str = ""
    detail: str = ""
    is_used: bool = False
