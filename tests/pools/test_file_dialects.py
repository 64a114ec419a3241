"""A list of keys, written in any dialect that the importer knows, is read as exactly these keys, or not at all."""

import codecs
import csv
import gzip
import io
import json
from dataclasses import dataclass

import pytest
from hypothesis import assume, event, given, note
from hypothesis import strategies as st

from keygen_site.jsonapi.errors import DomainError
from pools.key_files import ReadOptions, open_key_file
from pools.key_files.warnings import FileProfile
from tests.pools.workbooks import workbook, zipped

pytestmark = pytest.mark.without_database

# The common form of licenses: groups of capitals and digits, with a letter and a digit in each group.
GROUP = st.tuples(
    st.text("ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=2, max_size=3), st.text("23456789", min_size=2, max_size=3)
)
COMMON_KEYS = st.lists(
    st.lists(GROUP, min_size=3, max_size=3).map(lambda groups: "-".join("".join(group) for group in groups)),
    min_size=2,
    max_size=12,
    unique=True,
)
# Any text that a pool takes, with more of the characters that have a meaning in some format.
ODD_KEYS = st.lists(
    st.text(
        st.one_of(
            st.sampled_from(" ,;|\"'=+-@#{}[]()<>:/\\.%&0123456789EeTt"),
            st.characters(codec="utf-8", categories=["L", "Nd", "P", "S"]),
        ),
        min_size=8,
        max_size=20,
    ).filter(lambda text: text == text.strip()),
    min_size=1,
    max_size=6,
    unique=True,
)
# Keys that share their punctuation, as if it separated the cells of a row.
TEMPLATES = st.text(",;|:='\" .#-/x", min_size=2, max_size=6).flatmap(
    lambda template: st.lists(
        st.lists(GROUP.map("".join), min_size=len(template), max_size=len(template))
        .map(
            lambda groups: (
                "".join(sign + group if sign != "x" else group for sign, group in zip(template, groups, strict=True))
                + groups[0]
            )
        )
        .filter(lambda text: len(text) >= 8 and text == text.strip()),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
NAMES = ["key", "License Key", "serial_number", "VOUCHER-CODE", "Lizenzschlüssel", "Product key"]
NEIGHBOURS = {
    "Product": lambda turn: ("Game One", "Game; Two, Deluxe", 'The "Gold" Game')[turn % 3],
    "No.": lambda turn: str(turn + 1),
    "Price": lambda turn: "9,99",
    "Note": lambda turn: ("", "first line\nsecond line", "x|y")[turn % 3],
    "E-mail of the seller": lambda turn: "ann@example.test",
}
# The encoding's name, its byte order mark, and whether it is found out without a word.
ENCODINGS = {
    "utf-8": (b"", True),
    "utf-8 with mark": (codecs.BOM_UTF8, True),
    "utf-16-le": (b"", True),
    "utf-16-be": (b"", True),
    "utf-16-le with mark": (codecs.BOM_UTF16_LE, True),
    "utf-16-be with mark": (codecs.BOM_UTF16_BE, True),
    "utf-32-le with mark": (codecs.BOM_UTF32_LE, True),
    "utf-32-be with mark": (codecs.BOM_UTF32_BE, True),
    "windows-1252": (b"", False),
    "iso-8859-1": (b"", False),
}


QUESTIONS = ("COLUMN_AMBIGUOUS", "FILE_UNREADABLE: The cells of a line may be separated by", "warnings: ")


@dataclass(frozen=True)
class Dialect:
    """A way to write a list of keys into a file."""

    kind: str
    encoding: str
    line_end: str
    ends_last_line: bool
    delimiter: str
    quotes_all: bool
    header: str | None
    neighbours: tuple[str, ...]
    place: int
    blank_rows: int
    container: str
    ending: str
    is_told: bool

    def write(self, keys):
        content = self.pack(getattr(self, f"write_{self.kind}")(keys))
        return gzip.compress(content, mtime=0) if self.container == "gzip" else content

    def pack(self, content):
        name = {"text": "keys.txt", "xlsx": "keys.xlsx"}.get(self.kind, f"keys.{self.kind}")
        return zipped((name, content)) if self.container == "zip" else content

    def rows(self, keys):
        names, place = list(self.neighbours), min(self.place, len(self.neighbours))
        if self.header:
            yield [*names[:place], self.header, *names[place:]]
        for turn, key in enumerate(keys):
            cells = [NEIGHBOURS[name](turn).replace("\n", self.line_end) for name in names]
            yield [*cells[:place], key, *cells[place:]]
        for _ in range(self.blank_rows):
            yield [""] * (len(names) + 1)

    def encode(self, text):
        mark, _ = ENCODINGS[self.encoding]
        return mark + text.encode(self.encoding.removesuffix(" with mark"))

    def end_lines(self, lines):
        return self.encode(self.line_end.join(lines) + self.line_end * self.ends_last_line)

    def write_text(self, keys):
        return self.end_lines(([self.header] if self.header else []) + keys + [""] * self.blank_rows)

    def write_csv(self, keys):
        text = io.StringIO()
        quoting = csv.QUOTE_ALL if self.quotes_all else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=self.delimiter, quoting=quoting, lineterminator=self.line_end)
        rows = [row if any(row) or len(row) > 1 else [] for row in self.rows(keys)]  # no quotes in a blank line
        writer.writerows(rows)
        return self.encode(text.getvalue())

    def members(self, keys):
        named = list(self.rows(keys))[: len(keys) + 1]
        return [dict(zip(named[0], row, strict=True)) for row in named[1:]]

    def write_json(self, keys):
        return self.encode(json.dumps(self.members(keys) if self.header else keys, ensure_ascii=self.quotes_all))

    def write_ndjson(self, keys):
        return self.end_lines([json.dumps(row, ensure_ascii=self.quotes_all) for row in self.members(keys)])

    def write_xlsx(self, keys):
        return workbook(self.rows(keys))

    @property
    def name(self):
        return f"list{self.ending}"

    @property
    def options(self):
        """Options that an operator gives when asked, or that are required."""
        said = {}
        if not ENCODINGS[self.encoding][1] and self.kind != "xlsx":
            said["encoding"] = self.encoding
        if self.is_told:
            said["format"] = self.kind
            if self.kind == "csv":
                said["delimiter"] = self.delimiter
            if self.kind in ("csv", "xlsx", "text"):
                said["header"] = self.header is not None
            if self.kind in ("csv", "xlsx"):
                said["column"] = str(min(self.place, len(self.neighbours)) + 1)
            elif self.kind != "text" and self.header:
                said["column"] = self.header
        return ReadOptions(**said)

    @property
    def is_certain(self):
        """Whether the importer claims to read the file without a question or a warning."""
        is_one_column = not self.neighbours and not (self.kind == "csv" and self.quotes_all)
        return self.is_told or self.header is not None or is_one_column


@st.composite
def dialects(draw):
    kind = draw(st.sampled_from(["text", "csv", "csv", "csv", "json", "ndjson", "xlsx"]))
    header = draw(st.sampled_from([None, *NAMES]))
    neighbours = draw(st.lists(st.sampled_from(list(NEIGHBOURS)), max_size=3, unique=True))
    if kind == "text":
        neighbours = []
    if kind == "ndjson" or (kind == "json" and neighbours):
        header = header or "key"
    return Dialect(
        kind=kind,
        encoding=draw(st.sampled_from(list(ENCODINGS))),
        line_end=draw(st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"])),
        ends_last_line=draw(st.booleans()),
        delimiter=draw(st.sampled_from(",;\t|")),
        quotes_all=draw(st.booleans()),
        header=header,
        neighbours=tuple(neighbours),
        place=draw(st.integers(0, 3)),
        blank_rows=draw(st.integers(0, 2)),
        container=draw(st.sampled_from(["", "", "gzip", "zip"])),
        ending=draw(st.sampled_from([".txt", ".csv", ".dat", ""])),
        is_told=draw(st.booleans()),
    )


def read(data, dialect):
    """The keys of a file; a text that says why none is added."""
    try:
        file = open_key_file(io.BufferedReader(io.BytesIO(data)), dialect.options, name=dialect.name)
        lines = [line for line in file if line.text or line.reason]
    except DomainError as error:
        return f"{error.code}: {error.detail}"
    if rejected := [line for line in lines if line.reason]:
        return f"rejected: {rejected}"
    profile = FileProfile()
    profile.add([line.text for line in lines], [line.number for line in lines])
    if serious := [warning for warning in profile.warnings([]) if warning.is_serious]:
        return f"warnings: {serious}"
    return [line.text for line in lines]


def written(keys, dialect):
    try:
        return dialect.write(keys)
    except UnicodeEncodeError:
        assume(False)


@given(COMMON_KEYS, dialects())
def test_common_keys_are_read_from_every_dialect(keys, dialect):
    found = read(written(keys, dialect), dialect)

    event(f"{dialect.kind}: {'read' if isinstance(found, list) else found[:24]}")
    note(f"{keys!r} {dialect!r} {found!r}")
    if dialect.is_certain:
        assert found == keys
    else:
        assert found == keys or found.startswith(QUESTIONS)


@given(ODD_KEYS | TEMPLATES, dialects())
def test_odd_keys_are_read_exactly_or_not_at_all(keys, dialect):
    found = read(written(keys, dialect), dialect)

    event(f"{dialect.kind}: {'read' if isinstance(found, list) else found[:24]}")
    note(f"{keys!r} {dialect!r} {found!r}")
    assert isinstance(found, str) or found == keys
