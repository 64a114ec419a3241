"""Encodings of files of keys: found out or told, and refused with the byte and its offset."""

import codecs
import io

import pytest

from pools.key_files import ENCODINGS, FileUnreadable, ReadOptions, open_key_file

pytestmark = pytest.mark.without_database

TEXT = "SCHLÜSSEL-0001\r\nSCHLÜSSEL-0002\r\n"
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def opened(data, encoding=None, charset=""):
    return open_key_file(io.BytesIO(data), ReadOptions(encoding=encoding), charset=charset)


def keys(data, **options):
    return [line.text for line in opened(data, **options) if not line.reason]


@pytest.mark.parametrize("mark", [True, False])
def test_unicode_is_found_out(mark):
    files = {name: opened((MARKS[name] if mark else b"") + TEXT.encode(name)) for name in MARKS}

    assert {name: file.understood.encoding for name, file in files.items()} == {name: name for name in MARKS}
    assert {name: [line.text for line in file] for name, file in files.items()} == dict.fromkeys(MARKS, TEXT.split())


@pytest.mark.parametrize("told", ["encoding", "charset"])
def test_every_encoding_is_read_if_told(told):
    texts = {name: "KEY-0001-" + "Ü" * name.startswith("windows-1252") for name in ENCODINGS}

    assert {name: keys(text.encode(name), **{told: name}) for name, text in texts.items()} == {
        name: [text] for name, text in texts.items()
    }


@pytest.mark.parametrize("name", ["latin-1", "ISO-8859-1", "iso8859_1", "L1", '"latin1"'])
def test_name_of_an_encoding_may_be_any_of_its_names(name):
    file = opened(TEXT.encode("latin-1"), encoding=name)

    assert file.understood.encoding == "iso-8859-1"
    assert [line.text for line in file] == TEXT.split()


@pytest.mark.parametrize("name", ["foo", "base64", "utf-7", "idna", "hex", "", "\0", "ü"])
def test_other_encodings_are_refused(name):
    for told in ({"encoding": name}, {"charset": name}):
        if name:
            with pytest.raises(FileUnreadable, match="is unknown. Save the file as UTF-8, or say one of: utf-8"):
                keys(b"KEY-0001\n", **told)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"KEY-0001\nSCHL\xdcSSEL\n", "The byte 0xDC at offset 13 (line 2) is not UTF-8"),
        (b"KEY-0001\n" * 100_000 + b"\xff\n", "The byte 0xFF at offset 900,000 (line 100,001)"),
        (b"\xef\xbb\xbfKEY-0001\n\xed\xa0\x80\n", "The byte 0xED at offset 12 (line 2)"),
        (b"KEY-0001\nKEY-\xc3", "is cut off within a character"),
        (codecs.BOM_UTF16_LE + b"K\0E", "is cut off within a character"),
        (codecs.BOM_UTF16_LE + b"K\0\0\xdcE\0", "at offset 4 (line 1) is not UTF-16-LE"),
    ],
)
def test_bytes_of_another_encoding_are_refused_with_their_offset(data, said):
    with pytest.raises(FileUnreadable) as refused:
        keys(data)

    assert said in refused.value.detail


def test_refusal_names_the_option():
    with pytest.raises(FileUnreadable) as refused:
        keys(TEXT.encode("windows-1252"))

    assert "`--encoding windows-1252` (command), `?encoding=windows-1252` (API)" in refused.value.detail


def test_character_may_cross_the_end_of_a_block():
    for before in range(1, 5):
        text = "\n" * before + "KEY-000Ü\n" * 60_000

        assert keys(text.encode())[before:] == ["KEY-000Ü"] * 60_000


class TestContradictions:
    def test_mark_precedes_what_was_declared(self):
        assert keys(codecs.BOM_UTF8 + TEXT.encode(), charset="iso-8859-1") == TEXT.split()

    def test_mark_contradicts_what_was_told(self):
        with pytest.raises(FileUnreadable, match="begins with the byte order mark of UTF-8"):
            keys(codecs.BOM_UTF8 + TEXT.encode(), encoding="windows-1252")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
    def test_mark_completes_what_was_told(self, encoding):
        assert keys(codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), encoding=encoding) == TEXT.split()

    def test_utf_8_that_was_declared_as_latin_1_is_asked(self):
        with pytest.raises(FileUnreadable, match="declared as iso-8859-1, but its characters are UTF-8"):
            keys(TEXT.encode(), charset="iso-8859-1")

        assert keys(TEXT.encode(), charset="iso-8859-1", encoding="utf-8") == TEXT.split()

    def test_mark_in_the_middle_begins_a_line(self):
        joined = (codecs.BOM_UTF8 + b"KEY-0001\r\n") * 2

        assert keys(joined) == ["KEY-0001", "KEY-0001"]
        assert [str(line.reason) for line in opened(b"KEY-0001" + codecs.BOM_UTF8 + b"KEY-0002\n")] == [
            "Reason.INVISIBLE"
        ]
