"""Excel workbooks (.xlsx), read by python-calamine."""

import datetime
import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from pools.key_files.errors import FileUnreadable
from pools.key_files.headers import has_key_name

# A sheet takes memory for all cells up to the last row and column, also for empty ones.
MAX_CELLS = 5_000_000
_MAX_EXACT = 10**15  # a spreadsheet keeps fifteen digits of a number
_BLOCK_BYTES, _MAX_ERRORS = 1 << 18, 100_000
_ERROR = re.compile(
    rb"<(?:\w+:)?c(\s[^<>]*?\bt\s*=\s*[\"']e[\"'][^<>]*)>(?:<(?:\w+:)?f\b[^<>]*>[^<]*</(?:\w+:)?f>)?(?:<(?:\w+:)?v>([^<]*))?"
)
_NAME = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{1,3}\d{1,9})[\"']")
_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{0,3})(\d{1,9})[\"']")  # of a row or a cell
_ROWS_LOOKED_AT = 20


class MangledCell(str):
    """The text of a cell that a spreadsheet has changed, or may have.

    Attributes:
        reason: why.
    """

    reason: str = ""

    @classmethod
    def of(cls, text: str, reason: str) -> "MangledCell":
        cell = cls(text)
        cell.reason = reason
        return cell


class Sheet(NamedTuple):
    name: str
    rows: Iterator[tuple[int, list[str]]]


def open_sheet(file: IO[bytes]) -> Sheet:
    """The rows of the sheet with the keys, each with its number.

    Raises:
        FileUnreadable: the workbook is damaged, too large or protected by a password, or has several such sheets.
    """
    errors = _check_parts(file)
    file.seek(0)
    try:
        workbook = CalamineWorkbook.from_filelike(cast(Any, file))
        sheets = [
            workbook.get_sheet_by_name(sheet.name)
            for sheet in workbook.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
        ]
    except CalamineError:
        raise FileUnreadable(
            "This is an Excel workbook (.xlsx) that is damaged or protected by a password. Save the sheet as .xlsx "
            "without a password, or as CSV, and import that"
        ) from None
    filled = [sheet for sheet in sheets if sheet.height]
    known = [sheet for sheet in filled if any(map(has_key_name, _first_rows(sheet)))]
    if len(filled) > 1 and len(known) != 1:
        names = ", ".join(sheet.name for sheet in filled[:10])
        raise FileUnreadable(
            f"The workbook has {len(filled)} sheets ({names}), and it is not certain which one has the keys. Save that "
            "sheet as a workbook of its own, or as CSV, and import that"
        )
    if not filled:
        return Sheet("", iter(()))
    sheet = filled[0] if len(filled) == 1 else known[0]
    return Sheet(sheet.name, _rows(sheet, errors))


def name_cell(row: int, index: int) -> str:
    """The name of a cell, e.g. `B7`."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row}"


def _first_rows(sheet: CalamineSheet) -> list[list[str]]:
    return [list(map(_to_text, row)) for row in sheet.to_python(nrows=_ROWS_LOOKED_AT)]


def _rows(sheet: CalamineSheet, errors: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    # The rows begin with the first one, but the cells with the first column that is not empty.
    before = [""] * sheet.start[1] if sheet.start else []
    for number, row in enumerate(sheet.iter_rows(), 1):
        texts = before + list(map(_to_text, row))
        if errors and "" in texts:
            for index, text in enumerate(texts):
                if not text and (error := errors.get(name_cell(number, index))):
                    texts[index] = MangledCell.of(error, "it is an error of the spreadsheet")
        yield number, texts


def _to_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return MangledCell.of(str(value).upper(), "it is a truth value, not a text")
    if isinstance(value, int | float):
        if value != value or value in (float("inf"), float("-inf")) or int(value) != value:
            return MangledCell.of(str(value), "it is a number with a fraction or an exponent, not a text")
        if abs(value) >= _MAX_EXACT:
            return MangledCell.of(str(int(value)), "it is a number of more than 15 digits, and a spreadsheet keeps 15")
        return str(int(value))
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return MangledCell.of(value.isoformat(), "it is a date or a time, not a text")
    return MangledCell.of(str(value), "it is not a text")


def _check_parts(file: IO[bytes]) -> dict[str, str]:
    """Refuse sheets that would take too much memory, and parts whose sizes are not those of the archive's directory.

    Returns:
        The texts of cells with errors, by name: python-calamine reads them as empty.
    """
    errors: dict[str, str] = {}
    try:
        cells = 0
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                rows, columns, rest = 0, 0, b""
                with archive.open(member) as part:
                    while block := part.read(_BLOCK_BYTES):  # also checks the size and the checksum
                        if member.filename.startswith("xl/worksheets/"):
                            found = _REFERENCE.findall(rest + block)
                            for tag, text in _ERROR.findall(rest + block) if len(errors) < _MAX_ERRORS else ():
                                if name := _NAME.search(tag):
                                    errors[name[1].decode().upper()] = text.decode(errors="replace") or "#ERROR"
                            rest = block[-300:]
                            if found:
                                rows = max(rows, int(max((row for _, row in found), key=lambda row: (len(row), row))))
                                columns = max(columns, *map(_column_number, {name for name, _ in found}))
                cells += rows * columns
                if cells > MAX_CELLS:
                    raise FileUnreadable(
                        f"The workbook is too large: a sheet has cells down to row {rows:,} and column {columns:,}. "
                        "Remove empty rows and columns, or save the sheet as CSV, and import that"
                    )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        raise FileUnreadable("The Excel workbook is damaged: save it again, or as CSV, and import that") from None
    return errors


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
