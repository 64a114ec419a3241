"""Checking the parts of a workbook before it is read.

python-calamine allocates all cells up to the last row and column of a sheet, and ends the process if there is no memory
for them. It also accepts parts that are no XML. So all parts are parsed strictly first, and the cells counted.
"""

import re
import zipfile
from typing import IO, NamedTuple
from xml.parsers import expat

from pools.key_files.errors import FileUnreadable
from pools.key_files.unpacking import ZIP_ERRORS

MAX_CELLS = 5_000_000  # of all sheets, with empty ones
_BLOCK_BYTES, _MAX_ERRORS = 1 << 18, 100_000
_CELL = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})", re.ASCII)
_ROW = re.compile(r"[1-9]\d{0,6}", re.ASCII)
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"


class _PartInvalid(Exception):
    """A part of the workbook is not as the standard says."""


class Parts(NamedTuple):
    """Facts in the parts of a workbook that python-calamine does not give.

    Attributes:
        errors: the texts of cells with errors, such as `#N/A`, by name: python-calamine reads them as empty.
        hidden: the numbers of rows that are hidden and not empty, by the name of the sheet; the first ones only.
    """

    errors: dict[str, str]
    hidden: dict[str, list[int]]


def check_workbook(file: IO[bytes]) -> Parts:
    """Check all parts of a workbook.

    Raises:
        FileUnreadable: it is damaged, or has too many cells.
    """
    checker = _Checker()
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as part:  # reading checks its size and checksum
                    checker.check(member.filename, part)
        checker.check_sheets()
    except (*ZIP_ERRORS, expat.ExpatError, LookupError, _PartInvalid):
        raise FileUnreadable(
            "This is an Excel workbook (.xlsx) that is damaged. Save it again as .xlsx, or as CSV, and import that"
        ) from None
    return Parts(checker.errors, checker.hidden)


class _Checker:
    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.cells = 0
        self.row = self.column = self.rows = self.columns = 0
        self.targets: dict[str, str] = {}
        self.sheets: list[str] = []
        self.names: list[str] = []
        self.is_hidden = False
        self.hidden_rows: list[int] = []  # of a part
        self.hidden_of_parts: dict[str, list[int]] = {}

    def check(self, name: str, part: IO[bytes]) -> None:
        is_xml = name.lower().endswith((".xml", ".rels"))
        parser = self._make_parser(name) if is_xml else None
        self.row = self.column = self.rows = self.columns = 0
        self.is_hidden, self.hidden_rows = False, []
        while block := part.read(_BLOCK_BYTES):
            if parser:
                parser.Parse(block, False)
                self._check_size()
        if parser:
            parser.Parse(b"", True)
            self.cells += self.rows * self.columns
            self._check_size()
        if self.hidden_rows:
            self.hidden_of_parts[name.lower()] = self.hidden_rows

    @property
    def hidden(self) -> dict[str, list[int]]:
        """The hidden rows by the name of the sheet."""
        targets = [self.targets.get(sheet, "").lower().lstrip("/").removeprefix("xl/") for sheet in self.sheets]
        rows = [self.hidden_of_parts.get(f"xl/{target}") for target in targets]
        return {name: each for name, each in zip(self.names, rows, strict=False) if each}

    def check_sheets(self) -> None:
        """Check that the sheets are among the parts that were parsed."""
        if not all(self.targets.get(sheet, "").lower().endswith(".xml") for sheet in self.sheets):
            raise _PartInvalid

    def _check_size(self) -> None:
        if self.cells + self.rows * self.columns > MAX_CELLS:
            raise FileUnreadable(
                f"The workbook is too large: a sheet has cells down to row {self.rows:,} and column {self.columns:,}. "
                "Remove empty rows and columns, or save the sheet as CSV, and import that"
            )

    def _make_parser(self, name: str) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        if name == _WORKBOOK:
            parser.StartElementHandler = self._start_in_workbook
        elif name == _RELATIONS:
            parser.StartElementHandler = self._start_in_relations
        else:

            def start(element: str, attributes: dict[str, str]) -> None:
                if element == "c" or element.endswith(":c"):
                    parser.CharacterDataHandler = None
                    self._start_cell(attributes)
                    if attributes.get("t") == "e" and len(self.errors) < _MAX_ERRORS:
                        parser.CharacterDataHandler = self._read_error
                elif element == "row" or element.endswith(":row"):
                    self._start_row(attributes)
                elif self.is_hidden and element.rpartition(":")[2] in ("v", "t"):
                    self.is_hidden = False
                    self.hidden_rows.append(self.row)

            parser.StartElementHandler = start
        return parser

    def _start_in_workbook(self, element: str, attributes: dict[str, str]) -> None:
        if element.rpartition(":")[2] == "sheet":
            self.names.append(attributes.get("name", ""))
            self.sheets += [value for name, value in attributes.items() if name.rpartition(":")[2] == "id"]

    def _start_in_relations(self, element: str, attributes: dict[str, str]) -> None:
        if element.rpartition(":")[2] == "Relationship":
            if attributes.get("Id", "") in self.targets:
                raise _PartInvalid
            self.targets[attributes.get("Id", "")] = attributes.get("Target", "")

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")
        if number is not None and not _ROW.fullmatch(number):
            raise _PartInvalid
        self.row = int(number) if number else self.row + 1
        self.rows, self.column = max(self.rows, self.row), 0
        self.is_hidden = attributes.get("hidden") in ("1", "true")

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:
            self.column += 1
        else:
            found = _CELL.fullmatch(reference)
            if not found:
                raise _PartInvalid
            self.column, self.row = _column_number(found[1]), int(found[2])
        self.rows, self.columns = max(self.rows, self.row), max(self.columns, self.column)

    def _read_error(self, text: str) -> None:
        if text.startswith("#"):
            self.errors[name_cell(self.row, self.column - 1)] = text


def name_cell(row: int, index: int) -> str:
    """The name of a cell, e.g. `B7`.

    Args:
        row: from 1.
        index: of the column, from 0.
    """
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row}"


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _refuse(*declaration: object) -> None:
    raise _PartInvalid
