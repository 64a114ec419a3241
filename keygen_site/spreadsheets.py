"""CSV that spreadsheets open without running any of it."""

import csv
import re
from collections.abc import Iterable
from io import StringIO

BYTE_ORDER_MARK = "\ufeff"  # without it, Excel reads UTF-8 as the encoding of the computer
# A spreadsheet runs a cell that begins with one of these characters as a formula, also after blanks. One that takes a
# semicolon or a tab for the delimiter begins a cell there, even within the quotes of a CSV with commas.
_FORMULA = re.compile(r"(?:^|[;\t\r\n])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r])")


def defuse_formula(text: str) -> str:
    """Put an apostrophe before each part of a text that a spreadsheet would run as a formula."""
    return _FORMULA.sub(r"\g<0>'", text)


def format_csv(rows: Iterable[Iterable[str | None]]) -> str:
    """Rows as lines of CSV."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
