"""Files with rows of cells: the delimiter, the header, and the keys of the rows."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from keygen_site.wording import count_of
from pools.key_files.columns import Columns, find_columns, find_number, make_candidates
from pools.key_files.errors import ColumnAmbiguous, FileUnreadable, HeaderAmbiguous, option
from pools.key_files.headers import has_key_name, has_known_name, is_key_name, is_known_header, may_be_header
from pools.key_files.lines import Line, Reason
from pools.key_files.names import fold_name, is_total
from pools.key_files.options import DELIMITERS, ReadOptions, UsedRows
from pools.key_files.text_lines import OVERLONG_LINE
from pools.key_files.texts import KeyReader, is_blank
from pools.key_files.workbook_parts import name_cell
from pools.key_files.workbooks import MangledCell

_HEADER_ROWS, _COMPARED_ROWS = 20, 300
# The share of rows that must have equally many cells, where the name or type says CSV, and where it does not.
_SHARE_OF_CSV, _SHARE_OF_TEXT = 0.5, 0.9
_NAMES = {character: name for name, character in DELIMITERS.items()}

# Texts that may be no keys: without digits, a number, or a word before a blank or a colon, as in `Total: 20`.
_ODD = re.compile(r"\D*$|[\d.,' (]+($|[^\W\d_]| )|\s|[^\W\d_]+[\s:=,]")
_RULE = re.compile(r"[|+:\- ]*-{3,}[|+:\- ]*")  # of a table that is drawn with characters

Row = tuple[int, list[str] | None]


class Layout(NamedTuple):
    """The form of the rows of a file.

    Attributes:
        header: the cells of the header, or None without one.
        first: the number of the first line or row below the header, or 1 without one.
        width: the number of cells of a row. Further cells must be empty.
        cells: the number of cells of most rows, with empty ones at their end.
        title_lines: the number of lines above the header that are not blank.
    """

    columns: Columns
    header: tuple[str, ...] | None
    first: int
    width: int
    cells: int
    title_lines: int = 0


def parse_rows(lines: Iterable[str], delimiter: str, number: int = 1) -> Iterator[Row]:
    """The rows of CSV, each with the number of its first line. None for a line that is not CSV."""
    rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    while True:
        first = rows.line_num
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            # An unclosed quote spans several lines: all of them are rejected.
            yield from ((number + each, None) for each in range(first, rows.line_num))
            continue
        yield number + first, row


def find_delimiter(lines: Sequence[str], options: ReadOptions, is_csv: bool) -> str | None:
    """The delimiter of the cells. None if the lines are text.

    Args:
        lines: the first lines of the file.
        is_csv: whether it is CSV as its name or type says.

    Raises:
        FileUnreadable: there are several possible delimiters.
    """
    if options.format == "text":
        return None
    filled = [line for line in lines if not is_blank(line)]
    told = _find_told(options.delimiter) if options.delimiter else None
    if not filled:
        return told
    counts: dict[str, Counter[int]] = {}
    headed: dict[str, int] = {}
    for delimiter in DELIMITERS.values():
        if any(delimiter in line for line in filled):
            rows = [row for _, row in parse_rows(filled, delimiter)]
            counts[delimiter] = Counter(len(row or ()) for row in rows)
            for at, row in enumerate(rows[:_HEADER_ROWS]):
                if row and len(row) > 1 and has_key_name(row) and _has_cells(rows[at + 1 :]):
                    headed.setdefault(delimiter, len(row))
    if told:
        if headed and told not in headed and not any(told in line for line in filled):
            raise FileUnreadable(
                f"No line has a {_NAMES[told]}, but the header has a {_NAMES[next(iter(headed))]} between its cells. "
                "Leave out the delimiter, and it is found out"
            )
        return told
    if headed:
        return _choose([each for each, count in headed.items() if count == max(headed.values())])
    shares = {
        delimiter: max((count for cells, count in found.items() if cells > 1), default=0) / found.total()
        for delimiter, found in counts.items()
    }
    if is_key_name(filled[0].strip("\"' \t")):
        delimiter = _find_delimiter_below(filled, shares)
        return delimiter if is_csv or counts or any('"' in line for line in filled) else None
    names = [any(map(is_key_name, line.split(":"))) for line in filled[:2]]
    if names == [True, False] and all(":" in line for line in filled):
        raise FileUnreadable(
            "The cells of a line are separated by a colon, which is not read. Save the file with another delimiter: "
            + ", ".join(DELIMITERS)
        )
    whole = [delimiter for delimiter, share in shares.items() if share == 1]
    least = _SHARE_OF_CSV if is_csv else _SHARE_OF_TEXT
    most = [delimiter for delimiter, share in shares.items() if share >= least]
    if not whole and not most:
        return "," if is_csv else None
    delimiter = _choose(whole or most)
    if _count_filled(parse_rows(filled, delimiter)) > 1:
        return delimiter
    if not is_csv:
        return None  # the delimiter at the end of each line, or at its beginning, may belong to the key
    raise FileUnreadable(
        f"Each line begins or ends with a {_NAMES[delimiter]}. If it separates empty cells, say so: "
        f"{option('delimiter', _NAMES[delimiter])}. If it belongs to the keys, say: {option('format', 'text')}"
    )


def _has_cells(rows: Sequence[list[str] | None]) -> bool:
    """Whether most rows below a header have several cells."""
    return 2 * sum(len(row or ()) > 1 for row in rows) >= len(rows)


def _count_filled(rows: Iterable[Row]) -> int:
    """The number of columns that are not empty."""
    return len({index for _, row in rows for index, cell in enumerate(row or ()) if not is_blank(cell)})


def _find_told(delimiter: str) -> str:
    told = DELIMITERS.get(delimiter.lower(), delimiter)
    if told not in _NAMES:
        raise FileUnreadable(
            f"The delimiter {delimiter[:20]!r} is not read. It must be one of: {', '.join(DELIMITERS)}"
        )
    return told


def _find_delimiter_below(filled: Sequence[str], shares: dict[str, float]) -> str:
    """The delimiter below a header of a single cell."""
    others = len(filled) - 1
    for delimiter, share in shares.items():
        if others and share * len(filled) >= _SHARE_OF_TEXT * others:
            raise FileUnreadable(
                f"The header has one cell, {filled[0].strip()!r}, but the lines below it have a "
                f"{_NAMES[delimiter]} each. If it separates cells, say so: {option('delimiter', _NAMES[delimiter])}. "
                f"If it belongs to the keys, name another delimiter, such as {_other(delimiter)}"
            )
    return ","


def _other(delimiter: str) -> str:
    return "tab" if delimiter == "," else "comma"


def _choose(delimiters: Sequence[str]) -> str:
    if len(delimiters) == 1:
        return delimiters[0]
    if "\t" in delimiters:  # no key has a tab
        return "\t"
    names = " or ".join(_NAMES[delimiter] for delimiter in delimiters)
    raise FileUnreadable(
        f"The cells of a line may be separated by {names}. Say which: {option('delimiter', _NAMES[delimiters[0]])}"
    )


def find_drawn_table(lines: Sequence[str]) -> str | None:
    """Why lines are no list of keys: they are a table that is drawn with characters. None if they may be a list."""
    filled = [line for line in lines if not is_blank(line)][:3]
    if any(_RULE.fullmatch(line) and ("|" in line or "+" in line) for line in filled):
        return (
            "This is a table that is drawn with characters, as databases and Markdown do. Export the keys as CSV, and "
            "import that"
        )
    return None


def find_layout(rows: Sequence[Row], options: ReadOptions, noun: str = "column") -> Layout:
    """The form of the rows of a file, by its first ones.

    Args:
        rows: some are not blank.

    Raises:
        ColumnAmbiguous, HeaderAmbiguous, FileUnreadable: it is uncertain, or is not as told.
    """
    filled = [(number, row) for number, row in rows if row and not all(map(is_blank, row))]
    if not filled:
        return Layout(Columns((), 1, 0), None, 1, 1, 1)
    at = None if options.header is False else _find_header(filled, options)
    if at is None:
        return _find_layout_without_header(filled, options)
    number, header = filled[at]
    width = 1 + max(index for index, cell in enumerate(header) if not is_blank(cell))
    below = [row for _, row in filled[at + 1 :]]
    columns = find_columns(header[:width], options, lambda index: _cells(below, index), noun)
    return Layout(columns, tuple(header[:width]), number + 1, width, _count_cells(below or [header]), at)


def _find_header(filled: Sequence[tuple[int, list[str]]], options: ReadOptions) -> int | None:
    """The index of the header among the first rows; None if the first row is certainly none, or it is asked later."""
    head = [row for _, row in filled[:_HEADER_ROWS]]
    column = options.column
    if column is not None:
        for at, row in enumerate(head):
            if _is_named(row, column):
                return at  # the rows above it are titles
    for at, row in enumerate(head):
        if has_key_name(row):
            below = [row for _, row in filled[at + 1 : at + 1 + _COMPARED_ROWS]]
            if all(_is_title(above, row, below) for above in head[:at]):
                return at
            break
    below = [row for _, row in filled[1 : 1 + _COMPARED_ROWS]]
    return 0 if options.header or is_known_header(head[0], below) else None


def _is_named(row: Sequence[str], column: str) -> bool:
    told = fold_name(column)
    return bool(told) and not told.isdecimal() and told in map(fold_name, row)


def _is_title(row: Sequence[str], header: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row above a header is a title."""
    count = sum(not is_blank(cell) for cell in header)
    if count > 1:
        return sum(not is_blank(cell) for cell in row) < count
    return may_be_header(row[0], list(_cells(below, 0)))


def _find_layout_without_header(filled: Sequence[tuple[int, list[str]]], options: ReadOptions) -> Layout:
    number, first = filled[0]
    rows = [row for _, row in filled]
    count = _count_cells(rows)
    used = [index for index in range(count) if any(not is_blank(cell) for cell in _cells(rows, index, count))]
    width = max(used, default=0) + 1
    below = rows[1 : 1 + _COMPARED_ROWS]
    if options.column is not None:
        told = find_number(options.column)
        if not told or told > width:
            shown = ", ".join(cell.strip()[:60] for cell in first[:20])
            raise FileUnreadable(
                f"The file has no column {options.column[:60]!r}. Its first row is: {shown}"
                if options.header is None
                else f"The file has no column {options.column[:60]!r}: it has {count_of(width, 'column')} and no header"
            )
        key = told - 1
    elif len(used) == 1:
        key = used[0]
    else:
        is_header = options.header is None and any(
            may_be_header(cell, list(_cells(below, index))) for index, cell in enumerate(first)
        )
        names, sampled = (first, below) if is_header else ([], rows)
        raise ColumnAmbiguous(
            f"The file has {len(used)} columns, and it is not certain which one has the keys. Say which: "
            f"{option('column', '2')}" + _say_text(options),
            make_candidates(used, names, lambda index: _cells(sampled, index)),
        )
    cell = first[key] if key < len(first) else ""
    if options.header is None and may_be_header(cell, list(_cells(below, key))):
        if len(first) > 1 and has_known_name(first, below):
            header = first[:width]
            columns = find_columns(header, options, lambda index: _cells(below, index))
            return Layout(columns, tuple(header), number + 1, width, count)
        raise HeaderAmbiguous(
            f"The first row, {cell.strip()[:100]!r}, may be a header or a key. Say which: `--header` or `--no-header` "
            "(command), `?header` or `?no-header` (API), or the field Header (console)",
            make_candidates([key], first, lambda index: _cells(below, index)),
            first,
        )
    return Layout(Columns((), width, key), None, 1, width, count)


def _count_cells(rows: Sequence[Sequence[str]]) -> int:
    """The number of cells that most rows have."""
    return Counter(map(len, rows)).most_common(1)[0][0]


def _say_text(options: ReadOptions) -> str:
    if options.format is not None:
        return ""
    return f". If each line is one key as a whole, say so: {option('format', 'text')}"


def _cells(rows: Iterable[Sequence[str]], index: int, count: int | None = None) -> Iterator[str]:
    return (row[index] for row in rows if index < len(row) and count in (None, len(row)))


def read_rows(rows: Iterable[Row], layout: Layout, options: ReadOptions, reader: KeyReader) -> Iterator[Line]:
    """The lines of a file of rows."""
    columns, width = layout.columns, layout.width
    key = columns.key
    for number, row in rows:
        if number < layout.first:
            continue
        if row is None:
            yield Line(number, "", Reason.MALFORMED)
            continue
        text = row[key] if key < len(row) else ""
        if len(row) != width and not (
            len(row) > width and (width > 1 or len(row) == layout.cells) and all(map(is_blank, row[width:]))
        ):
            yield Line(number, "") if all(map(is_blank, row)) else _reject_row(number, row, text, width)
        elif (not text or _ODD.match(text) or isinstance(text, MangledCell)) and (
            odd := _find_odd(number, row, text, layout, options.header is not False)
        ):
            yield odd
        elif columns.states and (used := columns.find_used(row)):
            name, value = used
            if options.used_rows is UsedRows.REJECT:
                yield reader.reject_used(number, text, f"{name}: {value}")
            else:
                yield reader.read(number, text, popped=columns.find_popped(row), is_used=True)
        else:
            yield reader.read(number, text)


def _find_odd(number: int, row: Sequence[str], text: str, layout: Layout, is_checked: bool) -> Line | None:
    """The line of a row that has no key; None if it has one.

    Args:
        is_checked: whether a name of a column is no key.
    """
    key, header = layout.columns.key, layout.header
    shown = KeyReader.show(text)
    if isinstance(text, MangledCell):
        return Line(number, shown, Reason.MANGLED, detail=f"cell {name_cell(number, key)}: {text.reason}")
    if is_blank(text):
        if all(map(is_blank, row)):
            return Line(number, "")
        reason = Reason.TOTAL if any(map(is_total, row)) else Reason.MALFORMED
        return Line(number, "", reason, detail=KeyReader.show(" ".join(row)))
    if header and text in header and all(cell in header for cell in row if cell):
        if text == header[key]:
            return Line(number, shown, Reason.HEADER)
        raise FileUnreadable(
            f"Line {number:,} is another header, with the columns in another order. Import the files one by one"
        )
    if is_key_name(text) and is_checked:
        return Line(number, shown, Reason.HEADER)
    return Line(number, shown, Reason.TOTAL) if any(map(is_total, row)) else None


def _reject_row(number: int, row: Sequence[str], text: str, width: int) -> Line:
    if any(OVERLONG_LINE in cell for cell in row):
        return Line(number, "", Reason.TOO_LONG)
    shown = KeyReader.show(text)
    if any(map(is_total, row)):
        return Line(number, shown, Reason.TOTAL)
    return Line(number, shown, Reason.CELLS, detail=f"{len(row)} cells, not {width}")
