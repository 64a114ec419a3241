"""Files of keys, line by line."""

import gzip
import io
import tracemalloc

import pytest

from pools.key_files import FileTooLarge, FileUnreadable, Line, Reason, guess_format, read_keys

pytestmark = pytest.mark.without_database


def read(data, format="text", column=None, **options):
    return list(read_keys(io.BufferedReader(io.BytesIO(data)), format, column, **options))


TEXT = [
    pytest.param(b"KEY-0001\nKEY-0002\n", ["KEY-0001", "KEY-0002"], id="lines"),
    pytest.param(b"KEY-0001\nKEY-0002", ["KEY-0001", "KEY-0002"], id="no final newline"),
    pytest.param(b"KEY-0001\r\nKEY-0002\r\n", ["KEY-0001", "KEY-0002"], id="CRLF"),
    pytest.param(b"\xef\xbb\xbfKEY-0001\n", ["KEY-0001"], id="byte order mark"),
    pytest.param(
        b"key with blanks, 'quotes' and \\ inside\n", ["key with blanks, 'quotes' and \\ inside"], id="opaque"
    ),
    pytest.param("schlüssel-ключ-鍵\n".encode(), ["schlüssel-ключ-鍵"], id="UTF-8"),
    pytest.param(b"", [], id="empty file"),
]


@pytest.mark.parametrize(("data", "keys"), TEXT)
@pytest.mark.parametrize("packed", [False, True])
def test_key_file_reader_reads_text(data, keys, packed):
    lines = read(gzip.compress(data) if packed else data)

    assert lines == [Line(number, key) for number, key in enumerate(keys, 1)]


FLAWS = [
    (b"1234567", Reason.TOO_SHORT),
    (b"x" * 1025, Reason.TOO_LONG),
    (b"x" * 100_000, Reason.TOO_LONG),
    (b"actions", Reason.RESERVED),
    (b" KEY-0001", Reason.BLANKS),
    (b"KEY-0001 ", Reason.BLANKS),
    ("\u00a0KEY-0001".encode(), Reason.BLANKS),
    (b"   ", Reason.BLANKS),
    (b"KEY\t0001", Reason.CONTROL),
    (b"KEY\x000001", Reason.CONTROL),
    (b"KEY\r0001", Reason.CONTROL),
    ("KEY\u00850001".encode(), Reason.CONTROL),
    (b"KEY-\xff0001", Reason.NOT_UTF8),
    (b"KEY-\xed\xa0\x800001", Reason.NOT_UTF8),
]


@pytest.mark.parametrize(("line", "reason"), FLAWS)
def test_key_file_reader_says_what_is_wrong_with_a_line(line, reason):
    lines = read(b"KEY-0001\n" + line + b"\nKEY-0002\n")

    assert [(found.number, found.reason) for found in lines] == [(1, None), (2, reason), (3, None)]


def test_key_file_reader_passes_over_blank_lines_without_losing_count():
    assert read(b"\nKEY-0001\n\r\nKEY-0002\n") == [Line(1, ""), Line(2, "KEY-0001"), Line(3, ""), Line(4, "KEY-0002")]


def test_key_file_reader_keeps_a_key_of_the_longest_kind():
    assert read(b"x" * 1024 + b"\n") == [Line(1, "x" * 1024)]


CSV = [
    pytest.param(b"KEY-0001\nKEY-0002\n", None, ["KEY-0001", "KEY-0002"], id="one column"),
    pytest.param(b"key\nKEY-0001\n", None, ["KEY-0001"], id="one column with a header"),
    pytest.param(b"id,License_Key\n1,KEY-0001\n", None, ["KEY-0001"], id="known name in another case"),
    pytest.param(b"id,code\n1,KEY-0001\n", None, ["KEY-0001"], id="code"),
    pytest.param(b"serial,key\nSER-0001,KEY-0001\n", "Serial", ["SER-0001"], id="named column"),
    pytest.param(b"SER-0001,KEY-0001\n", "2", ["KEY-0001"], id="numbered column without a header"),
    pytest.param(b"id,key\n1,KEY-0001\n", "2", ["KEY-0001"], id="numbered column with a header"),
    pytest.param(b'key,note\n"KEY-0001","a ""note"", and\nmore"\n', None, ["KEY-0001"], id="quoted"),
    pytest.param(b"\xef\xbb\xbfkey\r\nKEY-0001\r\n", None, ["KEY-0001"], id="from a spreadsheet"),
]


@pytest.mark.parametrize(("data", "column", "keys"), CSV)
def test_key_file_reader_reads_csv(data, column, keys):
    assert [line.text for line in read(data, "csv", column)] == keys


@pytest.mark.parametrize(
    ("data", "column", "said"),
    [
        (b"1,KEY-0001\n", None, "The file has 2 columns and none is called key, code or license_key: say which"),
        (b"id,key\n1,KEY-0001\n", "serial", "The file has no column 'serial'; it has id, key"),
        (b"id,key\n1,KEY-0001\n", "0", "The file has no column '0'"),
    ],
)
def test_key_file_reader_asks_which_column_of_csv(data, column, said):
    with pytest.raises(FileUnreadable, match=said):
        read(data, "csv", column)


def test_key_file_reader_loses_no_line_of_csv_behind_an_open_quote():
    lines = read(b'key\nKEY-0001\n"KEY-0002\nKEY-0003\nKEY-0004\n', "csv")

    assert [(line.number, line.reason) for line in lines] == [
        (2, None),
        (3, Reason.MALFORMED),
        (4, Reason.MALFORMED),
        (5, Reason.MALFORMED),
    ]


def test_key_file_reader_reports_rows_of_csv_without_a_key():
    lines = read(b"id,key\n1\n2,\n,\n3,KEY-0003\n4,K\xff-00004\n", "csv")

    assert lines[:3] == [Line(2, "", Reason.MALFORMED), Line(3, "", Reason.MALFORMED), Line(4, "")]
    assert lines[3] == Line(5, "KEY-0003")
    assert lines[4].reason == Reason.NOT_UTF8


NDJSON = [
    (b'{"key": "KEY-0001", "more": 1}', None, "KEY-0001", None),
    (b'{"license_key": "KEY-0001"}', None, "KEY-0001", None),
    (b'{"serial": "KEY-0001"}', "serial", "KEY-0001", None),
    (b'{"key": "K\\u00dc-00001"}', None, "KÜ-00001", None),
    (b'{"key": "KEY\\n0001"}', None, "KEY\\x0a0001", Reason.CONTROL),
    (b'{"key": 12345678}', None, '{"key": 12345678}', Reason.MALFORMED),
    (b'{"key": ""}', None, '{"key": ""}', Reason.MALFORMED),
    (b'["KEY-0001"]', None, '["KEY-0001"]', Reason.MALFORMED),
    (b"KEY-0001", None, "KEY-0001", Reason.MALFORMED),
    (b"[" * 5000, None, "[" * 2048, Reason.MALFORMED),
]


@pytest.mark.parametrize(("line", "column", "text", "reason"), NDJSON)
def test_key_file_reader_reads_ndjson(line, column, text, reason):
    assert read(line + b"\n\n", "ndjson", column) == [Line(1, text, reason), Line(2, "")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"KEY-0001\n" * 1000, mtime=0)[:-20], "not a whole gzip file"),
        (b"\x1f\x8bnot gzip at all", "not a whole gzip file"),
        ("KEY-0001\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_key_file_reader_refuses_files_that_are_broken_as_a_whole(data, said):
    with pytest.raises(FileUnreadable, match=said):
        read(data)


def test_key_file_reader_stops_a_file_that_grows_past_its_limit_when_unpacked():
    with pytest.raises(FileTooLarge):
        read(gzip.compress(b"\n" * 10_000_000), max_bytes=1_000_000)


def test_key_file_reader_holds_no_endless_line_in_memory():
    packed = io.BytesIO(gzip.compress(b"x" * 50_000_000 + b"\nKEY-0002\n"))
    tracemalloc.start()

    lines = list(read_keys(io.BufferedReader(packed)))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line.reason for line in lines] == [Reason.TOO_LONG, None]
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.txt", "text"), ("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.jsonl", "ndjson"), ("-", "text"), ("csv", "csv")],
)
def test_key_file_reader_tells_the_format_by_the_name(name, format):
    assert guess_format(name) == format
