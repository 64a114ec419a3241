"""Workbooks and compressed files: accepted files, refused files, and limits."""

import gzip
import io
import zipfile

import pytest

from pools.key_files import ColumnAmbiguous, FileTooLarge, FileUnreadable, NoKeys, ReadOptions, Reason, open_key_file
from tests.pools.workbooks import workbook, zipped

pytestmark = pytest.mark.without_database

ROWS = [["Product", "Key"], ["Game", "KEY-0001"], ["Game", "KEY-0002"]]


def opened(data, name="", max_bytes=None, **options):
    return open_key_file(io.BytesIO(data), ReadOptions(**options), name=name, max_bytes=max_bytes)


def keys(data, **options):
    return [line.text for line in opened(data, **options) if not line.reason and line.text]


def edited(data, old, new):
    """A workbook with a text replaced in all of its parts."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped(*((name, archive.read(name).replace(old, new)) for name in archive.namelist()))


class TestWorkbook:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped(("keys.xlsx", data))])
    def test_keys_of_a_workbook(self, pack):
        file = opened(pack(workbook(ROWS)))

        assert (file.understood.kind, file.understood.sheet, file.understood.header) == ("xlsx", "Sheet1", True)
        assert (file.understood.column, file.understood.ignored_columns) == ("Key", ("Product",))
        assert [(line.number, line.text) for line in file] == [(2, "KEY-0001"), (3, "KEY-0002")]

    def test_rows_and_columns_are_counted_from_the_first(self):
        rows = [[], [], [None, "Secret 1"], [None, "KEY-0001"]]

        assert keys(workbook(rows), column="2", header=True) == ["KEY-0001"]
        assert [line.number for line in opened(workbook(rows), header=True, column="2")] == [4]

    def test_column_is_asked(self):
        with pytest.raises(ColumnAmbiguous) as asked:
            keys(workbook([["key", "serial"], ["KEY-0001", "SER-0001"]]))

        assert [candidate.samples for candidate in asked.value.candidates] == [("KEY-0001",), ("SER-0001",)]

    @pytest.mark.parametrize(
        ("value", "text"),
        [(12345678, "12345678"), (123456789012345, "123456789012345"), ("0012345678", "0012345678")],
    )
    def test_numbers_that_a_spreadsheet_keeps_are_keys(self, value, text):
        assert keys(workbook([["key"], [value]])) == [text]

    @pytest.mark.parametrize("value", [1234567890123456, 1.2345e20, 12345678.5, 7.71234e15, 1e-7])
    def test_numbers_that_a_spreadsheet_has_changed_are_rejected_with_their_cell(self, value):
        (line,) = opened(workbook([["no", "key"], ["1", value]])[:])

        assert line.reason == Reason.MANGLED
        assert line.detail.startswith("cell B2: it is a number")

    def test_errors_are_rejected_with_their_cell(self):
        data = edited(workbook([["key"], ["KEY-0001"], [77]]), b'<c r="A3"><v>77', b'<c r="A3" t="e"><v>#N/A')

        assert [(line.text, line.reason) for line in opened(data)] == [("KEY-0001", None), ("#N/A", Reason.MANGLED)]

    def test_empty_workbook_has_no_keys(self):
        for rows in ([], [["key"]], [[], []]):
            with pytest.raises(NoKeys):
                keys(workbook(rows))

    @pytest.mark.parametrize(
        "reference",
        ["XFD1048576", "A1048576A", "a2", "A0", "A", "2", "", "AAAA1", "A99999999", "A2 ", "&#65;&#65;2B", "A-1", "é2"],
    )
    def test_references_cannot_exhaust_the_memory(self, reference):
        """python-calamine allocates all cells up to the last one, and ends the process if it cannot."""
        rows = [["key"], ["KEY-0001"]]
        for quote in ('"', "'"):
            data = edited(workbook(rows), b'r="A2"', f"r = {quote}{reference}{quote}".encode())
            with pytest.raises(FileUnreadable):
                keys(data)

    @pytest.mark.parametrize("number", ["1048576", "0", "-1", "x", "99999999999"])
    def test_numbers_of_rows_cannot_exhaust_the_memory(self, number):
        rows = [["a", "b", "c", "d", "e", "key"], ["1", "1", "1", "1", "1", "KEY-0001"]]
        data = edited(workbook(rows), b'<row r="2">', f'<row r="{number}">'.encode())
        for place in "ABCDEF":
            data = edited(data, f'r="{place}2"'.encode(), b"")

        with pytest.raises(FileUnreadable):
            keys(data)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"<sheetData>", b"<sheetData"),
            (b"<sheetData>", b"<!DOCTYPE x><sheetData>"),
            (b"</row>", b""),
            (b'encoding="UTF-8"', b'encoding="foo"'),
            (b'Target="worksheets/sheet1.xml"', b'Target="worksheets/sheet1.bin"'),
            (b'Target="worksheets/sheet1.xml"', b'Target="worksheets/sheet2.xml"'),
            (b"<c ", b"<c <c "),
        ],
    )
    def test_damaged_parts_are_refused(self, old, new):
        with pytest.raises(FileUnreadable, match="damaged"):
            keys(edited(workbook(ROWS), old, new))

    def test_workbook_is_not_read_as_another_format(self):
        for format in ("text", "csv", "ndjson", "json"):
            with pytest.raises(FileUnreadable, match="This is an Excel workbook"):
                keys(workbook(ROWS), format=format)
        with pytest.raises(FileUnreadable, match="read as an Excel workbook"):
            keys(b"KEY-0001\n", format="xlsx")


class TestZip:
    def test_only_file_of_an_archive_is_read(self):
        data = zipped(
            ("folder/", b""),
            ("folder/keys.csv", b"id;key\n1;KEY-0001\n"),
            ("__MACOSX/folder/._keys.csv", b"\0\5\x16\7"),
        )
        file = opened(data)

        assert (file.understood.compression, file.understood.delimiter) == ("zip", ";")
        assert [line.text for line in file] == ["KEY-0001"]

    def test_name_in_the_archive_is_a_hint(self):
        assert keys(zipped(("keys.csv", b'"KEY-0001"\n'))) == ["KEY-0001"]
        assert keys(zipped(("keys.txt", b'"KEY-0001"\n'))) == ['"KEY-0001"']

    def test_damaged_member_is_refused(self):
        data = bytearray(zipped(("keys.txt", b"KEY-0001\n" * 50_000)))
        data[200] ^= 0xFF

        with pytest.raises(FileUnreadable, match="damaged"):
            keys(bytes(data))

    def test_member_that_grows_past_the_limit_is_refused(self):
        with pytest.raises(FileTooLarge):
            keys(zipped(("keys.txt", b"\n" * 10_000_000)), max_bytes=1_000_000)

    def test_workbook_that_grows_past_the_limit_is_refused(self):
        with pytest.raises(FileTooLarge):
            keys(zipped(("xl/workbook.xml", b"\n" * 10_000_000)), max_bytes=1_000_000)

    def test_bomb_is_refused(self):
        with pytest.raises(FileUnreadable, match="100 times"):
            keys(zipped(("keys.txt", b"\n" * 150_000_000)))
