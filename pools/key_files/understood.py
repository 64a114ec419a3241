"""The form of a file of keys."""

from dataclasses import dataclass, field
from typing import Any

from pools.key_files.errors import Candidate
from pools.key_files.key_texts import escape_text


@dataclass(frozen=True, kw_only=True)
class Understood:
    """The form of a file, as found out or told.

    Attributes:
        kind: one of FORMATS.
        compression: `gzip`, `zip` or None.
        encoding: e.g. `utf-8`; None for a workbook.
        line_ends: `lf`, `crlf`, `cr`, `cr-crlf` or `mixed`; None without lines.
        delimiter: the character between cells; None unless the kind is csv with several columns.
        header: whether the first row, or a row below a title, is a header.
        column: the name of the keys' column or member, or its number as text without a header; None if there is one.
        ignored_columns: the names of the other columns, or their numbers.
        state_columns: the names of the columns that say whether a key is used.
        sheet: the name of the workbook's sheet.
        title_lines: the number of lines above the header.
        columns: all columns with their first cells, for a user to choose from; empty if there is only one.
        column_number: the number of the keys' column among them, from 1.
    """

    kind: str
    compression: str | None = None
    encoding: str | None = None
    line_ends: str | None = None
    delimiter: str | None = None
    header: bool = False
    column: str | None = None
    ignored_columns: tuple[str, ...] = ()
    state_columns: tuple[str, ...] = ()
    sheet: str | None = None
    title_lines: int = 0
    columns: tuple[Candidate, ...] = field(default=(), compare=False, repr=False)
    column_number: int = field(default=0, compare=False)

    @property
    def may_have_states(self) -> bool:
        """Whether a row can say that its key is used. Objects of JSON can have members that earlier ones lack."""
        return self.kind in ("json", "ndjson") or bool(self.state_columns)

    def as_dict(self) -> dict[str, Any]:
        """The members of a report, without `columns` and `column_number`.

        Names are escaped: a cell may have characters that no database stores.
        """
        return {
            "kind": self.kind,
            "compression": self.compression,
            "encoding": self.encoding,
            "lineEnds": self.line_ends,
            "delimiter": self.delimiter,
            "header": self.header,
            "column": None if self.column is None else escape_text(self.column),
            "ignoredColumns": [escape_text(name) for name in self.ignored_columns],
            "stateColumns": [escape_text(name) for name in self.state_columns],
            "sheet": None if self.sheet is None else escape_text(self.sheet),
            "titleLines": self.title_lines,
        }
