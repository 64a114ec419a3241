"""Opening and reading a file of keys in any format.

A key is opaque text: it is never changed, except that `ReadOptions.trim` removes blanks around it. A line with a fault
is rejected; a file whose form is uncertain is refused with a question.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import BinaryIO

from pools.key_files.columns import Columns, make_candidates
from pools.key_files.documents import Element, find_members, read_array, read_elements, read_lines
from pools.key_files.encodings import Encoding, decode_blocks, find_encoding
from pools.key_files.errors import Candidate, FileUnreadable, NoKeys, option
from pools.key_files.guards import GUARDED_KEY_COLUMN, unguard_row
from pools.key_files.kinds import find_binary_error, find_markup_error, is_json
from pools.key_files.lines import Line
from pools.key_files.options import ReadOptions
from pools.key_files.tables import Layout, Row, find_delimiter, find_drawn_table, find_layout, parse_rows, read_rows
from pools.key_files.text_lines import find_line_ends, split_lines
from pools.key_files.texts import KeyReader, is_blank
from pools.key_files.understood import Understood
from pools.key_files.unpacking import Source, Unpacked, unpack
from pools.key_files.workbooks import open_sheet

_SAMPLE_CHARACTERS, _SAMPLE_ROWS = 1 << 18, 5_000
_SAMPLE_CELLS = 20  # of each column, to be shown
_LINES_PER_BLOCK = 2_000
_CSV_NAMES, _CSV_TYPES = ("csv", "tsv", "tab"), ("text/csv", "text/tab-separated-values", "application/csv")
_TITLES = {"text": "text", "csv": "CSV", "ndjson": "NDJSON", "json": "JSON", "xlsx": "an Excel workbook (.xlsx)"}


class KeyFile:
    """A file of keys. Iterating yields its lines, once.

    Attributes:
        name: the name of the file, for messages.
        understood: the form of the file.
        is_read: whether all lines have been read.
    """

    is_read = False

    def __init__(
        self, understood: Understood, blocks: Iterator[list[Line]], reader: KeyReader, source: Source, name: str = ""
    ) -> None:
        self.understood, self.name = understood, name
        self._blocks, self._reader, self._source = blocks, reader, source

    @property
    def trimmed(self) -> int:
        """The number of keys so far from which blanks were removed."""
        return self._reader.trimmed

    @property
    def bytes_read(self) -> int:
        """The number of unpacked bytes so far."""
        return self._source.bytes_read

    def __iter__(self) -> Iterator[Line]:
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[list[Line]]:
        """The same lines, many at a time.

        Raises:
            NoKeys: all of them are blank.
        """
        has_text = False
        for block in self._blocks:
            has_text = has_text or any(line.text or line.reason for line in block)
            yield block
        if not has_text:
            raise NoKeys
        self.is_read = True


def open_key_file(
    file: BinaryIO,
    options: ReadOptions,
    *,
    name: str = "",
    media_type: str = "",
    charset: str = "",
    max_bytes: int | None = None,
) -> KeyFile:
    """Find out the form of a file of keys.

    Args:
        file: a binary file, at its beginning.
        name, media_type, charset: the file's name, declared type and declared encoding: hints only.
        max_bytes: the maximum size when unpacked.

    Raises:
        FileUnreadable: it is no list of keys, is cut off, or has an unknown encoding.
        FileTooLarge: it has more than `max_bytes`.
        ColumnAmbiguous: the column of the keys is uncertain.
        HeaderAmbiguous: it is uncertain whether the first line is a header.
        NoKeys: it is empty, or has only blank lines or a header.

    Iterating the result raises FileUnreadable and FileTooLarge too, where the fault comes later.
    """
    unpacked = unpack(file, name, max_bytes)
    if unpacked.workbook is not None:
        return _Opener(options, unpacked).open_workbook()
    head = unpacked.source.peek()
    encoding = find_encoding(head, options.encoding, charset)
    if not encoding.mark and (error := find_binary_error(head)):
        raise FileUnreadable(error)
    suffix = unpacked.name.rpartition(".")[2].lower()
    is_csv = options.format == "csv" or suffix in _CSV_NAMES or media_type in _CSV_TYPES
    return _Opener(options, unpacked).open_text(encoding, is_csv)


class _Opener:
    def __init__(self, options: ReadOptions, unpacked: Unpacked) -> None:
        self.options, self.source, self.unpacked = options, unpacked.source, unpacked
        self.reader = KeyReader(options.trim, options.header is not False)
        self.encoding: str | None = None
        self.line_ends: str | None = None

    def open_text(self, encoding: Encoding, is_csv: bool) -> KeyFile:
        blocks = decode_blocks(self.source, encoding)
        head = list(_take(blocks))
        sample = "".join(head)
        self.encoding, self.line_ends = encoding.name, find_line_ends(sample)
        if error := find_markup_error(sample):
            raise FileUnreadable(error)
        if self.options.format == "xlsx":
            raise self._contradiction(None)
        text = chain(head, blocks)
        if is_json(sample):
            return self._open_json(sample, text)
        if self.options.format == "json":
            raise self._contradiction(None)
        line_blocks = split_lines(text, self.line_ends)
        head_lines, line_blocks = _look_at(line_blocks, len(sample))
        if not any(not is_blank(line) for line in head_lines):
            return self._make(Understood(kind=self.options.format or "text"), self.reader.read_text(line_blocks, 1))
        if self.options.format == "ndjson":
            return self._open_ndjson(head_lines, line_blocks)
        return self._open_lines(head_lines, line_blocks, is_csv)

    def _open_lines(self, head: list[str], blocks: Iterator[list[str]], is_csv: bool) -> KeyFile:
        if error := find_drawn_table(head):
            raise FileUnreadable(error)
        skipped = 0
        separator = _find_separator(head) if self.options.format != "text" else None
        if separator:
            at, character = separator
            skipped, head = at, head[at:]
            delimiter: str | None = self._told_delimiter() or character
        else:
            delimiter = find_delimiter(head, self.options, is_csv)
        if delimiter is None:
            rows: list[Row] = [(number, [line]) for number, line in enumerate(head, 1)]
            layout = find_layout(rows, self.options)
            return self._make(
                self._understand("text", layout, rows),
                self.reader.read_text(blocks, layout.first, self.options.format == "text"),
            )
        rows = list(parse_rows(head, delimiter, skipped + 1))
        layout = find_layout(rows, self.options)
        lines = islice(chain.from_iterable(blocks), skipped, None)
        parsed = parse_rows(lines, delimiter, skipped + 1)
        if layout.header and GUARDED_KEY_COLUMN in layout.header:
            header = layout.header
            parsed = ((number, row and unguard_row(header, row)) for number, row in parsed)
        found = read_rows(parsed, layout, self.options, self.reader)
        return self._make(self._understand("csv", layout, rows, delimiter), _batch(found))

    def _told_delimiter(self) -> str | None:
        return find_delimiter([], self.options, False)

    def _open_json(self, sample: str, text: Iterator[str]) -> KeyFile:
        found = "json" if sample.lstrip()[:1] == "[" else "ndjson"
        if found == "ndjson" and not _is_ndjson(sample):
            raise FileUnreadable(
                "This is JSON. The file must be an array, or have an object on each line (NDJSON), with the key as a "
                'text: {"key": "…"}'
            )
        if self.options.format not in (None, found):
            raise self._contradiction(found)
        if found == "ndjson":
            line_blocks = split_lines(text, self.line_ends)
            return self._open_ndjson(*_look_at(line_blocks, len(sample)))
        elements = read_array(text)
        head = list(islice(elements, _SAMPLE_ROWS))
        return self._open_elements("json", head, chain(head, elements))

    def _open_ndjson(self, head: list[str], blocks: Iterator[list[str]]) -> KeyFile:
        elements = list(read_lines(head))
        if not any(isinstance(element.value, dict | str) for element in elements):
            raise FileUnreadable('This is not NDJSON, which has an object on each line: {"key": "…"}')
        return self._open_elements("ndjson", elements, read_lines(chain.from_iterable(blocks)))

    def _open_elements(self, kind: str, head: list[Element], elements: Iterator[Element]) -> KeyFile:
        if not head:
            raise NoKeys
        columns = find_members(head, self.options)
        understood = Understood(
            kind=kind,
            column=columns.name(columns.key) if columns.names else None,
            ignored_columns=columns.ignored if columns.names else (),
            state_columns=columns.state_names,
            columns=_sample_members(columns, head),
            column_number=columns.key + 1,
        )
        return self._make(understood, _batch(read_elements(elements, columns, self.options, self.reader)))

    def open_workbook(self) -> KeyFile:
        if self.options.format not in (None, "xlsx"):
            raise self._contradiction("xlsx")
        assert self.unpacked.workbook is not None
        sheet = open_sheet(self.unpacked.workbook)
        head = list(islice(sheet.rows, _SAMPLE_ROWS))
        layout = find_layout(list(head), self.options)
        lines = read_rows(chain(head, sheet.rows), layout, self.options, self.reader)
        understood = self._understand("xlsx", layout, head, sheet=sheet.name)
        return self._make(understood, _batch(lines))

    def _understand(
        self, kind: str, layout: Layout, rows: Iterable[Row], delimiter: str | None = None, sheet: str | None = None
    ) -> Understood:
        columns = layout.columns
        is_one = columns.count == 1 and not columns.names
        return Understood(
            kind=kind,
            delimiter=delimiter if columns.count > 1 else None,
            header=layout.header is not None,
            column=None if is_one else columns.name(columns.key),
            ignored_columns=columns.ignored,
            state_columns=columns.state_names,
            sheet=sheet,
            title_lines=layout.title_lines,
            columns=_sample_columns(layout, rows),
            column_number=columns.key + 1,
        )

    def _make(self, understood: Understood, blocks: Iterator[list[Line]]) -> KeyFile:
        understood = replace(
            understood,
            compression=self.unpacked.compression,
            encoding=self.encoding,
            line_ends=self.line_ends,
        )
        return KeyFile(understood, blocks, self.reader, self.source, self.unpacked.name)

    def _contradiction(self, found: str | None) -> FileUnreadable:
        told = self.options.format or ""
        if found in ("json", "ndjson") and told in ("text", "csv"):
            return FileUnreadable(
                f"This is JSON. It was to be read as {_TITLES[told]}: leave out the format, or say "
                f"{option('format', found)}"
            )
        is_found = f"This is {_TITLES[found]}" if found else "This is something else"
        return FileUnreadable(
            f"{is_found}, but it was to be read as {_TITLES[told]}. Leave out the format, and it is found out"
        )


def _sample_columns(layout: Layout, rows: Iterable[Row]) -> tuple[Candidate, ...]:
    """The columns of a table with the first cells of each; none if there is only one."""
    columns = layout.columns
    if columns.count < 2:
        return ()
    below = list(islice((row for number, row in rows if row and number >= layout.first), _SAMPLE_CELLS))
    return tuple(
        make_candidates(
            range(columns.count),
            columns.names,
            lambda index: (row[index] for row in below if index < len(row)),
        )
    )


def _sample_members(columns: Columns, elements: Iterable[Element]) -> tuple[Candidate, ...]:
    """The members of JSON objects with their first values; none if there is only one."""
    if columns.count < 2:
        return ()
    objects = list(islice((element.value for element in elements if isinstance(element.value, dict)), _SAMPLE_CELLS))
    return tuple(
        make_candidates(
            range(columns.count),
            columns.names,
            lambda index: (str(each.get(columns.names[index], "")) for each in objects),
        )
    )


def _is_ndjson(sample: str) -> bool:
    first = next(line for line in sample.splitlines() if not is_blank(line))
    (element,) = read_lines([first])
    return isinstance(element.value, dict)


def _find_separator(lines: list[str]) -> tuple[int, str] | None:
    """The delimiter of a line such as `sep=;`, which spreadsheets read and write, and the number of lines up to it."""
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            continue
        text = line.strip(' "').lower() if not line.endswith("\t") else line
        return (number, text[4]) if len(text) == 5 and text.startswith("sep=") else None
    return None


def _take(blocks: Iterator[str]) -> Iterator[str]:
    size = 0
    while size < _SAMPLE_CHARACTERS and (block := next(blocks, None)) is not None:
        size += len(block)
        yield block


def _look_at(blocks: Iterator[list[str]], size: int) -> tuple[list[str], Iterator[list[str]]]:
    """The first lines, and all blocks of lines."""
    taken: list[list[str]] = []
    seen = 0
    for block in blocks:
        taken.append(block)
        seen += sum(map(len, block)) + len(block)
        if seen >= size // 2:
            break
    return [line for block in taken for line in block], chain(taken, blocks)


def _batch(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while block := list(islice(lines, _LINES_PER_BLOCK)):
        yield block
