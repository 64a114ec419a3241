"""Guards of CSV cells that a spreadsheet would change or run: `="00123"` instead of `00123`.

A spreadsheet shows a guarded cell as the plain text, and writes the plain text when it saves the sheet. Our export says
in its header that cells are guarded, so the importer can tell a guard from a key that looks like one.
"""

import re
from collections.abc import Sequence

GUARDED_KEY_COLUMN = "key (guarded)"
_TIMESTAMP_COLUMN = "created"  # guarded in each row, unless a spreadsheet has saved the file

# Two runs of letters with digits, hyphens or underscores between: no number, date, time, exponent, boolean or formula
# in any language. Anything else may be one.
_PLAIN = re.compile(r"(?=[A-Za-z0-9])[A-Za-z0-9_-]*[A-Za-z][0-9_-]+[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_STRING = r'"(?:[^"]|"")*"'
_GUARDED = re.compile(rf"={_STRING}(?:&{_STRING})*", re.DOTALL)
_MAX_STRING = 255  # characters of a text in a formula of Excel
# Where a cell is split into several strings: at that length, and after each character that some spreadsheet takes for
# the delimiter, so that the rest of the cell begins with `"&"`, and not with a possible formula.
_PART = re.compile(rf"[^;\t]{{0,{_MAX_STRING - 1}}}[;\t]|[^;\t]{{1,{_MAX_STRING}}}")


def guard_cell(text: str) -> str:
    """A cell that a spreadsheet shows as exactly this text."""
    if not text or _PLAIN.fullmatch(text):
        return text
    return "=" + "&".join('"' + part.replace('"', '""') + '"' for part in _PART.findall(text))


def unguard_cell(text: str) -> str:
    """The text of a cell from `guard_cell`. A cell without a guard is returned unchanged."""
    if not _GUARDED.fullmatch(text):
        return text
    return "".join(part[1:-1].replace('""', '"') for part in re.findall(_STRING, text, re.DOTALL))


def unguard_row(header: Sequence[str], row: list[str]) -> list[str]:
    """The texts of a row of our export.

    A row with a plain timestamp was saved by a spreadsheet, which writes plain texts: one that looks like a guard is a
    key that begins and ends like one.
    """
    if _TIMESTAMP_COLUMN in header:
        timestamp = row[index] if (index := header.index(_TIMESTAMP_COLUMN)) < len(row) else ""
        if timestamp and not timestamp.startswith("="):
            return row
    return [unguard_cell(cell) for cell in row]
