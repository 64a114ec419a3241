"""Excel workbooks (.xlsx), read by python-calamine.

It is imported where it is needed, because it takes memory that the import of any other file does without.
"""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from pools.key_files.errors import FileUnreadable
from pools.key_files.headers import has_key_name
from pools.key_files.workbook_parts import check_workbook, name_cell

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_MAX_EXACT = 10**15  # a spreadsheet keeps fifteen digits of a number
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
        FileUnreadable: the workbook is damaged, too large or protected by a password, has several such sheets, or hides
            rows of it.
    """
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    parts = check_workbook(file)
    file.seek(0)
    with _reading():
        workbook = CalamineWorkbook.from_filelike(cast(Any, file))
        sheets = [
            workbook.get_sheet_by_name(sheet.name)
            for sheet in workbook.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
        ]
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
    if hidden := parts.hidden.get(sheet.name):
        rows = "1 row is hidden" if len(hidden) == 1 else f"{len(hidden):,} rows are hidden"
        raise FileUnreadable(
            f"In the sheet {sheet.name}, {rows}, such as row {hidden[0]:,}: by a filter, or one by one. If their keys "
            "are to be imported too, show all rows and save the workbook. If not, copy the rows that are shown into a "
            "new workbook, and import that"
        )
    return Sheet(sheet.name, _rows(sheet, parts.errors))


def _first_rows(sheet: "CalamineSheet") -> list[list[str]]:
    return [list(map(_to_text, row)) for row in sheet.to_python(nrows=_ROWS_LOOKED_AT)]


def _rows(sheet: "CalamineSheet", errors: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
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


@contextmanager
def _reading() -> Iterator[None]:
    """Turn errors of python-calamine into FileUnreadable."""
    from python_calamine import CalamineError

    try:
        yield
    except BaseException as error:
        # A panic of Rust is no Exception, and its class cannot be imported.
        if not isinstance(error, CalamineError) and type(error).__name__ != "PanicException":
            raise
        raise FileUnreadable(
            "This is an Excel workbook (.xlsx) that is damaged or protected by a password. Save the sheet as .xlsx "
            "without a password, or as CSV, and import that"
        ) from None
