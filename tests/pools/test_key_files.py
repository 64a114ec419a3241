"""Files of keys: each format is read line by line, in constant memory."""

import gzip
import io
import json
import tracemalloc

import pytest

from pools.key_files import (
    ColumnAmbiguous,
    FileTooLarge,
    FileUnreadable,
    NoKeys,
    ReadOptions,
    Reason,
    open_key_file,
)

pytestmark = pytest.mark.without_database


def opened(data, name="", media_type="", charset="", max_bytes=None, **options):
    data = data.encode() if isinstance(data, str) else data
    hints = {"name": name, "media_type": media_type, "charset": charset, "max_bytes": max_bytes}
    return open_key_file(io.BytesIO(data), ReadOptions(**options), **hints)


def read(data, **options):
    """The lines of a file: (number, text), and the reason if there is one."""
    return [(line.number, line.text, *filter(None, [line.reason])) for line in opened(data, **options)]


def keys(data, **options):
    """The keys of a file that has nothing else but blank lines."""
    lines = list(opened(data, **options))
    assert [line for line in lines if line.reason] == []
    return [line.text for line in lines if line.text]


class TestText:
    @pytest.mark.parametrize(
        ("data", "found"),
        [
            pytest.param("KEY-0001\nKEY-0002\n", ["KEY-0001", "KEY-0002"], id="lines"),
            pytest.param("KEY-0001\nKEY-0002", ["KEY-0001", "KEY-0002"], id="no final newline"),
            pytest.param("KEY-0001\r\nKEY-0002\r\n", ["KEY-0001", "KEY-0002"], id="CRLF"),
            pytest.param("KEY-0001\rKEY-0002\r", ["KEY-0001", "KEY-0002"], id="CR"),
            pytest.param("KEY-0001\r\r\nKEY-0002\r\r\n", ["KEY-0001", "KEY-0002"], id="CR CR LF"),
            pytest.param("\ufeffKEY-0001\n\ufeffKEY-0002\n", ["KEY-0001", "KEY-0002"], id="byte order marks"),
            pytest.param("k 'quotes' and \\ 1\n", ["k 'quotes' and \\ 1"], id="opaque"),
            pytest.param("schlüssel-ключ-鍵-1\n", ["schlüssel-ключ-鍵-1"], id="UTF-8"),
            pytest.param("x" * 1023 + "1\n", ["x" * 1023 + "1"], id="longest"),
            pytest.param("KEY-0001\n" + "\0" * 5000, ["KEY-0001"], id="filled up with NULs"),
            pytest.param("KEY-0001\n" + "\0" * 500_000, ["KEY-0001"], id="filled up with many NULs"),
            pytest.param("KEY-0001\r\nKEY-0002\x1a", ["KEY-0001", "KEY-0002"], id="end-of-file mark"),
        ],
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_key_file_has_the_keys_of_text(self, data, found, pack):
        assert keys(pack(data.encode())) == found

    def test_key_file_counts_blank_lines(self):
        blanks = ["", "\r", "  ", "\t", "\u00a0", "\x0c", "\x1a", '""']

        assert read("\n".join([*blanks, "KEY-0001", ""])) == [
            *((number, "") for number in range(1, len(blanks) + 1)),
            (len(blanks) + 1, "KEY-0001"),
        ]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("1234567", Reason.TOO_SHORT),
            ("x1" * 513, Reason.TOO_LONG),
            ("x1" * 50_000, Reason.TOO_LONG),
            ("actions", Reason.RESERVED),
            (" KEY-0001", Reason.BLANKS),
            ("KEY-0001 ", Reason.BLANKS),
            ("\u00a0KEY-0001", Reason.INVISIBLE),
            ("KEY\t0001", Reason.CONTROL),
            ("KEY\x000001", Reason.CONTROL),
            ("KEY\r0001", Reason.CONTROL),
            ("\x0cKEY-0001", Reason.CONTROL),
            ("KEY\u00850001", Reason.CONTROL),
            ("License Key", Reason.HEADER),
        ],
    )
    def test_key_file_gives_the_reason_for_an_invalid_line(self, line, reason):
        lines = opened(f"KEY-0001\n{line}\nKEY-0002\n")

        assert [(found.number, found.reason) for found in lines] == [(1, None), (2, reason), (3, None)]

    def test_blocks_are_the_lines(self):
        text = "".join(f"KEY-{number:08}\n" for number in range(50_000))

        blocks = list(opened(text).blocks())

        assert len(blocks) > 1
        assert [line for block in blocks for line in block] == list(opened(text))

    @pytest.mark.parametrize("at", [0, 1, 2, 3])
    def test_line_ends_are_found_at_the_end_of_a_block(self, at):
        """A block of the file ends before, within and after the end of a line."""
        count = (1 << 18) // 10
        text = "X" * (at + 8) + "1\r\n" + "".join(f"K{number:07}\r\n" for number in range(2 * count))

        assert keys(text, header=False)[1:] == [f"K{number:07}" for number in range(2 * count)]

    def test_memory_is_flat_for_an_endless_line(self):
        packed = gzip.compress(b"x1" * 14_000_000 + b"\nKEY-0002\n")
        tracemalloc.start()

        lines = list(opened(packed, header=False))

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert [line.reason for line in lines] == [Reason.TOO_LONG, None]
        assert peak < 8_000_000

    def test_blanks_are_removed_if_told_and_counted(self):
        file = opened(" KEY-0001\nKEY-0002\t\nKEY-0003\n   \n\x0cKEY-0004\n", trim=True)

        assert [line.text for line in file] == ["KEY-0001", "KEY-0002", "KEY-0003", "", "KEY-0004"]
        assert file.trimmed == 3

    def test_lines_of_which_some_are_in_quotes_are_asked(self):
        data = '"KEY-0001"\nKEY-0002\n'

        with pytest.raises(FileUnreadable, match="Line 1 is in quotes, and other lines are not"):
            read(data)

        assert keys(data, format="text") == ['"KEY-0001"', "KEY-0002"]
        assert keys(data, format="csv") == ["KEY-0001", "KEY-0002"]


class TestCSV:
    @pytest.mark.parametrize(
        ("data", "found"),
        [
            pytest.param("key\nKEY-0001\n", ["KEY-0001"], id="one column"),
            pytest.param("id,License_Key\n1,KEY-0001\n", ["KEY-0001"], id="known name in another case"),
            pytest.param("id;code\n1;KEY-0001\n", ["KEY-0001"], id="semicolon"),
            pytest.param("id\tkey\n1\tKEY-0001\n", ["KEY-0001"], id="tab"),
            pytest.param("id|key\n1|KEY-0001\n", ["KEY-0001"], id="pipe"),
            pytest.param('"sep=|"\nid|key\n1|KEY-0001\n', ["KEY-0001"], id="separator line"),
            pytest.param('key,note\n"KEY-0001","a ""note"", and\nmore"\n', ["KEY-0001"], id="quoted"),
            pytest.param('key,note\r"KEY-0001","a\nb"\r"KEY-0002",""\r', ["KEY-0001", "KEY-0002"], id="CR"),
            pytest.param("key;price\nKEY-0001;9,99\nKEY-0002;8,99\n", ["KEY-0001", "KEY-0002"], id="decimal commas"),
            pytest.param("key,note,\nKEY-0001,a,\n,,\n", ["KEY-0001"], id="empty columns and rows"),
            pytest.param("key,note\nKEY-0001,a,,\n", ["KEY-0001"], id="empty cells at the end"),
            pytest.param("Keys for ACME\n\nid,key\n1,KEY-0001\n", ["KEY-0001"], id="title"),
            pytest.param("Lizenz;Produkt\nKEY-0001;Spiel\n", ["KEY-0001"], id="weak name"),
            pytest.param("No.,activation code\n1,KEY-0001\n", ["KEY-0001"], id="number"),
        ],
    )
    @pytest.mark.parametrize("hints", [{}, {"name": "keys.csv"}, {"media_type": "text/csv"}, {"format": "csv"}])
    def test_key_file_has_the_keys_of_csv(self, data, found, hints):
        assert keys(data, **hints) == found

    @pytest.mark.parametrize(
        ("data", "column", "found"),
        [
            ("serial,key\nSER-0001,KEY-0001\n", "Serial", "SER-0001"),
            ("SER-0001,KEY-0001\n", "2", "KEY-0001"),
            ("id,key\n1,KEY-0001\n", "2", "KEY-0001"),
            ("Product,Geheimnis\nGame,KEY-0001\n", "2", "KEY-0001"),
            ("Shop,Secret 1\nGame,KEY-0001\n", "2", "KEY-0001"),
        ],
    )
    def test_column_is_told(self, data, column, found):
        assert keys(data, column=column) == [found]

    @pytest.mark.parametrize("column", ["foo", "0", "3", "-1", "²"])
    def test_column_that_does_not_exist_is_refused(self, column):
        for data in ("id,key\n1,KEY-0001\n", "11111111,KEY-0001\n22222222,KEY-0002\n"):
            with pytest.raises(FileUnreadable, match=f"no column '{column}'"):
                read(data, column=column)

    def test_rows_without_a_certain_key_are_rejected(self):
        data = (
            "id,key,note\n1,KEY-0001,a\n2,Deluxe,KEY-0002,b\n3,KEY-0003\n4,,c\nid,key,note\n5,License Key,d\n"
            "Total,20,\nTotal: 3\n"
        )

        assert read(data) == [
            (2, "KEY-0001"),
            (3, "Deluxe", Reason.CELLS),
            (4, "KEY-0003", Reason.CELLS),
            (5, "", Reason.MALFORMED),
            (6, "key", Reason.HEADER),
            (7, "License Key", Reason.HEADER),
            (8, "20", Reason.TOTAL),
            (9, "", Reason.TOTAL),
        ]

    def test_header_with_other_columns_is_refused(self):
        with pytest.raises(FileUnreadable, match="Line 3 is another header"):
            read("id,key\n1,KEY-0001\nkey,id\nKEY-0002,2\n")

    def test_lines_behind_an_open_quote_are_rejected(self):
        data = 'key\nKEY-0001\n"KEY-0002\nKEY-0003\nKEY-0004\n'

        assert read(data, format="csv") == [
            (2, "KEY-0001"),
            *((number, "", Reason.MALFORMED) for number in (3, 4, 5)),
        ]

    def test_several_delimiters_are_asked(self):
        with pytest.raises(FileUnreadable, match="may be separated by comma or semicolon"):
            read("a1,b;c\nd1,e;f\n")

    @pytest.mark.parametrize("delimiter", ["semicolon", ";"])
    def test_delimiter_is_told(self, delimiter):
        assert keys("a1,b;KEY-0001\nd1,e;KEY-0002\n", delimiter=delimiter, column="2") == ["KEY-0001", "KEY-0002"]

    def test_delimiter_that_is_not_read_is_refused(self):
        with pytest.raises(FileUnreadable, match="must be one of: comma, semicolon, tab, pipe"):
            read("key:a\n", delimiter=":")

    def test_delimiter_at_the_end_of_each_line_may_belong_to_the_key(self):
        data = "KEY-0001;\nKEY-0002;\n"

        with pytest.raises(FileUnreadable, match="ends with a semicolon"):
            read(data, format="csv")

        assert keys(data) == ["KEY-0001;", "KEY-0002;"]
        assert keys(data, delimiter="semicolon") == ["KEY-0001", "KEY-0002"]

    def test_single_row_with_a_delimiter_more_is_uncertain(self):
        assert read("key\nKEY-0001\nKEY-0002,\n")[1] == (3, "KEY-0002", Reason.CELLS)
        with pytest.raises(FileUnreadable, match="The header has one cell, 'key'"):
            read("key\nKEY-0001,\nKEY-0002,\n")

    def test_keys_with_a_delimiter_are_text_if_told(self):
        data = "AB|CD-0001\nEF|GH-0002\n"

        with pytest.raises(ColumnAmbiguous, match="--format text"):
            read(data)

        assert keys(data, format="text", header=False) == ["AB|CD-0001", "EF|GH-0002"]


class TestDocuments:
    @pytest.mark.parametrize(
        ("value", "options", "line"),
        [
            ({"key": "KEY-0001", "more": 1}, {}, ("KEY-0001",)),
            ({"license_key": "KEY-0001"}, {}, ("KEY-0001",)),
            ({"serial": "SER-0001", "key": "KEY-0001"}, {"column": "serial"}, ("SER-0001",)),
            ({"key": "KÜ-00001"}, {}, ("KÜ-00001",)),
            ({"key": "KEY\n0001"}, {}, ("KEY\\x0a0001", Reason.CONTROL)),
            ({"key": 12345678}, {}, ('{"key": 12345678}', Reason.MALFORMED)),
            ({"key": ""}, {}, ('{"key": ""}', Reason.MALFORMED)),
            (["KEY-0001"], {}, ('["KEY-0001"]', Reason.MALFORMED)),
            ({"key": "KEY-0001", "sold": True}, {}, ("KEY-0001", Reason.USED_ROW)),
        ],
    )
    def test_key_file_has_the_keys_of_json(self, value, options, line):
        first = dict.fromkeys(value, "KEY-0000") if isinstance(value, dict) and "sold" not in value else {}
        values = [first or {"key": "KEY-0000"}, value]
        array, lines = json.dumps(values), "".join(f"{json.dumps(each)}\n" for each in values)

        assert read(array, **options)[1] == (2, *line)
        assert read(lines, **options)[1] == (2, *line)
        assert read(json.dumps(values, indent=4), **options)[1] == (2, *line)

    def test_array_of_texts_is_read(self):
        assert keys('["KEY-0001", "KEY-\\u00dc002"]') == ["KEY-0001", "KEY-Ü002"]

    def test_array_is_read_in_flat_memory(self):
        texts = [f"KEY-{number:010}" for number in range(200_000)]
        packed = gzip.compress(json.dumps(texts).encode())
        del texts
        tracemalloc.start()

        count = sum(len(block) for block in opened(packed).blocks())

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 200_000
        assert peak < 16_000_000

    @pytest.mark.parametrize(
        "data",
        [
            '["KEY-0001", "KEY-0002"',
            '["KEY-0001" "KEY-0002"]',
            '["KEY-0001",]',
            '["KEY-0001"] more',
            '["KEY-0001", "\\ud800KEY"]',
            '["KEY-0001", ' + "[" * 100_000,
            '["KEY-0001", "' + "x" * 200_000,
        ],
    )
    def test_array_that_is_not_whole_is_refused(self, data):
        with pytest.raises(FileUnreadable, match="not a whole JSON array"):
            read(data)

    @pytest.mark.parametrize(
        "data",
        ["{}", '{"errors": [{"title": "No"}]}', '{\n "key": "KEY-0001"\n}', '{"error": "x", "code": "NO_KEY_1"}'],
    )
    def test_object_without_keys_is_refused(self, data):
        with pytest.raises(FileUnreadable, match=r"This is JSON\."):
            read(data)

    def test_member_that_is_there_twice_is_malformed(self):
        text = '{"key": "KEY-0001", "key": "KEY-0002"}'

        assert read(f"{text}\n") == [(1, text, Reason.MALFORMED)]
        assert read(f"[{text}]") == [(1, text, Reason.MALFORMED)]
        assert read(json.dumps({"key": "KEY-0001", "note": '"key": "key"'}) + "\n") == [(1, "KEY-0001")]

    def test_member_is_asked(self):
        with pytest.raises(ColumnAmbiguous) as asked:
            read('[{"key": "KEY-0001", "serial": "SER-0001"}]')

        assert [candidate.column for candidate in asked.value.candidates] == ["key", "serial"]


class TestNothing:
    @pytest.mark.parametrize(
        "data", ["", "\n\n", "  \n\t\n", "\0" * 100, "\x1a", "key\n", "key,product\n", "\ufeff", "[]"]
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_file_without_keys_is_an_error_of_its_own(self, data, pack):
        with pytest.raises(NoKeys):
            read(pack(data.encode()))


class TestLimits:
    def test_file_that_grows_past_its_limit_when_unpacked_is_refused(self):
        with pytest.raises(FileTooLarge):
            read(gzip.compress(b"\n" * 10_000_000), max_bytes=1_000_000)

    def test_bomb_is_refused(self):
        with pytest.raises(FileUnreadable, match="100 times"):
            read(gzip.compress(b"x" * 150_000_000, 9))

    @pytest.mark.parametrize("data", [gzip.compress(b"KEY-0001\n" * 1000, mtime=0)[:-20], b"\x1f\x8bnot gzip at all"])
    def test_file_that_is_cut_off_is_refused(self, data):
        with pytest.raises(FileUnreadable, match="not a whole gzip file"):
            read(data)
