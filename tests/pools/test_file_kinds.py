"""Files that are no lists of keys, and bytes that are no text: refused in words at every door, never an error 500."""

import bz2
import csv
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from itertools import product

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pools.key_files import FORMATS, FileUnreadable, ReadOptions, escape_text, open_key_file
from pools.models import Key, KeyImport, PendingImport
from tests.cast import numbered
from tests.console import page, signed_in, staff
from tests.errors import UNPROCESSABLE
from tests.fuzzing import examples, share
from tests.processes import manage
from tests.tables import each_row

pytestmark = pytest.mark.without_database  # the subject is files and processes

KEYS = "".join(f"{key}\n" for key in numbered(100)).encode()


def zipped(*names, compression=zipfile.ZIP_DEFLATED):
    """A zip archive of files with these names. In `name=text`, the text is the file's content, without compression."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in names:
            name, _, text = name.partition("=")
            archive.writestr(name, text or KEYS, zipfile.ZIP_STORED if text else compression)
    return file.getvalue()


def zipped_as(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("keys.txt")
        member.size = len(KEYS)
        archive.addfile(member, io.BytesIO(KEYS))
    return file.getvalue()


SHEET, TEXT = "Save the sheet as CSV", "Save the keys as plain text"
OPENDOCUMENT = "mimetype=application/vnd.oasis.opendocument"
WORKBOOK = zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
BINARY_WORKBOOK = zipped("[Content_Types].xml", "xl/workbook.bin")
# Each kind of file, and its description in the error.
BINARY = {
    "xlsx, damaged": (WORKBOOK, "This is an Excel workbook (.xlsx) that is damaged"),
    "xlsb": (BINARY_WORKBOOK, "This is an Excel binary workbook (.xlsb). Save the workbook as .xlsx"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), f"This is an Office document such as .docx. {TEXT}"),
    "ods": (zipped(f"{OPENDOCUMENT}.spreadsheet", "content.xml"), f"This is an OpenDocument sheet (.ods). {SHEET}"),
    "odt": (zipped(f"{OPENDOCUMENT}.text", "content.xml"), f"This is an OpenDocument file such as .odt. {TEXT}"),
    "zip": (zipped("a.txt", "b.txt"), "The zip archive has 2 files (a.txt, b.txt)"),
    "zip, stored": (zipped("a", "b", compression=zipfile.ZIP_STORED), "The zip archive has 2 files"),
    "zip, empty": (zipped(), "The zip archive has 0 files"),
    "zip, cut off": (zipped("keys.txt")[:-30], "The zip archive, or the workbook, is damaged or cut off"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "This is an Excel workbook (.xls)"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "This is a PDF document."),
    "rtf": (rb"{\rtf1\ansi\deff0 KEY-0001\par}", "This is a rich text document (.rtf)."),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "This is an image"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "This is an image"),
    "gif": (b"GIF89a\x10\0\x10\0\x80\0\0", "This is an image"),
    "webp": (b"RIFF\x24\0\0\0WEBPVP8 ", "This is an image"),
    "bmp": (b"BM\x36\x10\x0e\0\0\0\0\0\x36\0\0\0", "This is an image"),
    "tiff": (b"II*\0\x08\0\0\0", "This is an image"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "This is an image"),
    "gzip twice": (gzip.compress(gzip.compress(KEYS)), "This is a file that was gzipped twice."),
    "bzip2": (bz2.compress(KEYS), "This is a bzip2 archive."),
    "bzip2, empty": (bz2.compress(b""), "This is a bzip2 archive."),
    "xz": (lzma.compress(KEYS), "This is an xz archive."),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x58\x41\0\0KEY-0001\n", "This is a zstd archive."),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40\xa7", "This is an lz4 archive."),
    "compress": (b"\x1f\x9d\x90\x4b\x8a", "This is a compressed file (.Z)."),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\x04", "This is a 7z archive."),
    "rar": (b"Rar!\x1a\x07\x01\0", "This is a rar archive."),
    "tar": (tarred(), "This is a tar archive."),
    "exe": (b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0", "This is a program."),
    "ELF": (b"\x7fELF\x02\x01\x01\0", "This is a program."),
    "Mach-O": (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "This is a program."),
    "class": (b"\xca\xfe\xba\xbe\0\0\0\x34", "This is a program."),
    "SQLite": (b"SQLite format 3\0\x10\0", "This is an SQLite database."),
}
PAGE, XML, JSON = "This is a web page (HTML)", "This is an XML document.", "This is JSON. "
MARKUP = {
    "html": (
        b"<!DOCTYPE html>\n<html><head><title>504 Gateway Time-out</title></head>\n<body></body>\n</html>\n",
        PAGE,
    ),
    "html, bare": (b"\r\n <HTML>\n<body>KEY-0001</body></HTML>", PAGE),
    "html, byte order mark": (b"\xef\xbb\xbf<html>\n<body>KEY-0001</body></html>", PAGE),
    "html, comment first": (b"<!-- saved -->\n<html><body>KEY-0001</body></html>", PAGE),
    "xml": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', XML),
    "xml, undeclared": (b'<keys shop="1">\n<key>KEY-0001</key>\n</keys>', XML),
}
DOCUMENTS = {
    "JSON object": (b'{"errors":[{"title":"Not found"}]}', JSON),
    "JSON object on several lines": (b'{\n "key": "KEY-0001"\n}', JSON),
    "JSON array of numbers": (b"[10000001, 10000002]", JSON),
    "JSON array of large numbers": (b"[1e999999, 1.5]", JSON),
    "JSON array of one number": (b" [12345678]\n", JSON),
    "JSON array of one large number": (b"[-1e999999]", JSON),
    "JSON array of constants": (b"[null, true, false]", JSON),
    "JSON array of one constant": (b"[true]", JSON),
    "JSON array of no number": (b"[NaN]", JSON),
    "JSON, empty": (b"{}", JSON),
}
# These are read, but not as text or CSV.
LISTS_IN_JSON = {
    "JSON array": b'[\n  "KEY-0001",\n  "KEY-0002"\n]',
    "JSON array of objects": b'[{"key": "KEY-0001"}]',
    "NDJSON": b'{"key": "KEY-0001"}\n{"key": "KEY-0002"}\n',
}
ALL = BINARY | MARKUP | DOCUMENTS
TYPES = {"text": "text/plain", "csv": "text/csv", "ndjson": "application/x-ndjson"}
# Lists of keys that only begin like one of them.
LISTS = [
    *("PK-KEY-0001", "MZ12-3456-7890", "GIF89a-KEY-01", "BM-KEY-0001", "RIFF-KEY-0001", "II*KEY-0001", "7z-KEY-0001"),
    *("Rar!KEY-0001", "BZh91-KEY-0001", "%PDF-KEY-0001", "SQLite format 3 KEY", "ftyp-KEY-0001"),
    *("<KEY-0001>", "<KEY-0001/>", "</KEY-0001>", "<!KEY-0001>", "<?KEY-0001", "<html-KEY-0001"),
    *("[12345678]", "[true-KEY-0001]", "[1e5-KEY-0001]", "[NaN-KEY-0001", "[12345678"),
    *("{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "[AAAA-BBBB]", "[1234-5678]", "{KEY-0001", "[KEY-0001", '"KEY-0001"'),
]


def refused_without_header(text, format):
    """Why a list is refused that begins with a text."""
    try:
        list(open_key_file(io.BytesIO(f"{text}\nKEY-0002\n".encode()), ReadOptions(format=format, header=False)))
    except FileUnreadable as error:
        return error.detail
    return None


def refused(data, format=None):
    """Why a file is refused as a whole; None if it is read."""
    try:
        list(open_key_file(io.BytesIO(data), ReadOptions(format=format)))
    except FileUnreadable as error:
        return error.detail
    return None


@pytest.mark.parametrize("format", [None, "ndjson"])
def test_each_is_called_what_it_is(format):
    found = {name: refused(data, format) for name, (data, _) in ALL.items()}

    wrong = {name: said for name, said in found.items() if not (said or "").startswith(ALL[name][1])}
    arrays = {name for name in ALL if name.startswith("JSON array of")}
    told = set() if format is None else {"xlsx, damaged", *arrays}  # refused as being no NDJSON
    assert wrong.keys() == told


def test_each_is_called_what_it_is_in_an_archive():
    found = {
        name: refused(gzip.compress(data))
        for name, (data, _) in ALL.items()
        if not data.startswith((b"PK", b"\x1f\x8b"))
    }

    assert {name: said for name, said in found.items() if not (said or "").startswith(ALL[name][1])} == {}


@pytest.mark.parametrize("format", FORMATS)
def test_no_format_makes_it_a_list(format):
    read = [name for name, (data, _) in ALL.items() if refused(data, format) is None]

    assert read == []


@pytest.mark.parametrize("format", ["text", "csv"])
def test_json_is_neither_text_nor_csv(format):
    said = {name: refused(data, format) for name, data in LISTS_IN_JSON.items()}

    assert [name for name, why in said.items() if not (why or "").startswith(JSON)] == []
    assert [name for name, data in LISTS_IN_JSON.items() if refused(data)] == []


@pytest.mark.parametrize("outer", [gzip.compress, lambda data: zipped_as("keys", data)])
def test_packed_twice_is_refused(outer):
    for inner in (gzip.compress(KEYS), zipped("keys.txt")):
        assert "once" in refused(outer(inner))


@pytest.mark.parametrize("format", ["text", "csv"])
def test_keys_that_look_a_little_like_it_are_keys(format):
    wrong = {text: refused_without_header(text, format) for text in LISTS}

    assert {text: said for text, said in wrong.items() if said} == {}
    assert refused(b'{"key": "KEY-0001"}\n', "ndjson") is None


def test_the_api_refuses_each(acme, api):
    admin = api(acme.admin)
    wrong = {}
    for format, media_type in TYPES.items():
        for name, (data, said) in ALL.items():
            path = f"policies/{acme.policy.pk}/pool/actions/import?skip-invalid"
            response = admin.post(path, data, content_type=media_type)
            (error,) = response.json().get("errors", [{}])
            if (response.status_code, error.get("code")) != (UNPROCESSABLE, "FILE_UNREADABLE"):
                wrong[name, format] = response.content
            elif not error["detail"].startswith(said):
                wrong[name, format] = error["detail"]

    assert wrong == {}
    assert not KeyImport.objects.exists()
    assert not Key.objects.exists()


def test_the_command_refuses_each(acme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = {}
    for ending in ("txt", "csv", "ndjson", "xlsx", "json"):
        for name, (data, said) in ALL.items():
            file = tmp_path / f"keys.{ending}"
            file.write_bytes(data)
            with pytest.raises(CommandError) as failed:
                call_command("import_keys", file.name, "--policy", "Pooled", "--skip-invalid")
            if failed.value.returncode != 1 or not str(failed.value).startswith(f"{file.name}: {said}"):
                wrong[name, ending] = str(failed.value)

    assert wrong == {}
    assert not KeyImport.objects.exists()
    assert not Key.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["xlsb", "png", "gzip twice", "html", "JSON object"])
def test_the_process_of_the_command_refuses_it(acme, name):
    data, said = ALL[name]

    outcome = manage("import_keys", "-", "--policy", "Pooled", "--skip-invalid", "--json", stdin=data)

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"Error: -: {said}")
    assert not Key.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_process_of_the_command_prints_rejected_characters(acme, tmp_path):
    data = "KEY-0001\nK\0EY-0002\n\u0085\0KEY-0003\n".encode()

    outcome = manage("import_keys", "-", "--policy", "Pooled", "--rejected", tmp_path / "rejected.csv", stdin=data)

    assert (outcome.code, outcome.err) == (3, "")
    _, *rows = csv.reader((tmp_path / "rejected.csv").read_text(encoding="utf-8").splitlines())
    assert [row[-1] for row in rows] == [r"K\x00EY-0002", r"\u0085\x00KEY-0003"]
    assert not re.search(r"[\x00\x85]", outcome.out)


@pytest.mark.django_db(transaction=True)
def test_the_process_of_the_command_refuses_bytes_of_another_encoding(acme):
    outcome = manage("import_keys", "-", "--policy", "Pooled", "--skip-invalid", stdin=b"KEY-0001\nSCHL\xdcSSEL\n")

    assert (outcome.code, outcome.out) == (1, "")
    assert "The byte 0xDC at offset 13 (line 2) is not UTF-8" in outcome.err
    assert "--encoding windows-1252" in outcome.err


class Console:
    """The console's pages about uploads, as an operator opens them."""

    def __init__(self, company):
        self.client = signed_in(staff(company, email="ann@acme.test"))
        self.new = page("pools_pendingimport_import", company.policy.pk)

    def give(self, **values):
        """Give keys or a file: the upload, or None if the form says why it took none."""
        response = self.client.post(self.new, {"keys": "", **values})
        if response.status_code == 200:
            assert "errorlist" in response.content.decode()
            return None
        assert response.status_code == 302
        return PendingImport.objects.first()

    def visit(self, upload):
        """Open the pages of an upload, twice; the text of the last one."""
        for name in ("change", "progress", "rejected", "change"):
            response = self.client.get(page(f"pools_pendingimport_{name}", upload.pk))
            assert response.status_code == 200 or (name, response.status_code) == ("rejected", 404)
            if response.streaming:
                b"".join(response.streaming_content).decode()
        return response.content.decode()


@pytest.fixture
def console(acme):
    return Console(acme)


def test_the_console_refuses_each(console):
    wrong = {}
    for turn, ending in enumerate(("txt", "csv", "jsonl", "png")):
        for name, (data, said) in share(list(ALL.items()), turn):
            upload = console.give(file=SimpleUploadedFile(f"keys.{ending}", data))
            if said not in console.visit(upload) or upload.state != PendingImport.State.FAILED:
                wrong[name, ending] = upload.problem

    assert wrong == {}


def test_the_console_refuses_each_that_is_pasted(console):
    wrong = {}
    for name, (data, said) in (MARKUP | DOCUMENTS).items():
        upload = console.give(keys=data.decode())
        if said not in console.visit(upload):
            wrong[name] = upload.problem
    for data, _ in BINARY.values():
        if upload := console.give(keys=data.decode("latin-1")):  # the form takes no NUL
            console.visit(upload)

    assert wrong == {}
    assert not Key.objects.exists()


BYTES = {
    "Latin-1": b"key\nSCHL\xdcSSEL-0001\nKEY-0001\n",
    "Latin-1, short": b"key\n\xdc\n\xdc\xdc\nKEY-0001\n",
    "Latin-1, columns": b"schl\xfcssel,gr\xf6\xdfe\n1,2\n",
    "NUL": b"\0\nA\0B\n\0KEY-0001\0\nKEY-0001\n",
    "NUL, columns": b"a\0,b\0\n1,2\n",
    "controls": b"\x1b[31m\n\x7f\n\xc2\x85\n\xc2\x85KEY-0001\xc2\x85\nKEY-0001\n",
    "surrogates": b"\xed\xa0\x80\n\xed\xb3\xbfKEY-0001\xed\xb3\xbf\n",
    "long line": b"x" * 100_000 + b"\n",
    "long line, columns": b"a,b" + b"\xff" * 60_000 + b"\n",
    "UTF-16 without a mark": "KEY-0001\n".encode("utf-16-le"),
    "every byte": bytes(range(256)),
    "gzip with garbage": gzip.compress(KEYS) + b"garbage",
    "gzip of another method": b"\x1f\x8b\x07" + bytes(20),
}


@each_row(("turn", "data"), enumerate(BYTES.values()))
def test_bytes_that_are_no_text_are_shown(console, turn, data):
    for format, column in share(list(product(TYPES, ("", "2", "serial"))), turn):
        upload = console.give(file=SimpleUploadedFile("keys", data), format=format, column=column)
        console.visit(upload)
        assert upload.state in (PendingImport.State.CHECKED, PendingImport.State.FAILED)
        if upload.state == PendingImport.State.CHECKED:
            console.client.post(page("pools_pendingimport_change", upload.pk), {"skip": "yes"})
            console.visit(upload)


def test_rejected_bytes_are_escaped_in_the_download(console):
    upload = console.give(file=SimpleUploadedFile("keys.txt", b"KEY-0001\nA\0B\nKEY\xc2\x850001\nR\xc3\x9cGEN\n"))

    response = console.client.get(page("pools_pendingimport_rejected", upload.pk))
    shown = console.visit(upload)

    _, *rows = csv.reader(b"".join(response.streaming_content).decode().splitlines())
    assert [row[-1] for row in rows] == [r"A\x00B", r"KEY\u00850001", "RÜGEN"]
    assert r"<code>A\x00B</code>" in shown


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([data for data, _ in ALL.values()]),
    st.sampled_from(
        [b"\n", b"\r\n", b",", b'"', b"key", b"KEY-0001", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"]
    ),
)


@given(
    data=st.lists(PIECES, min_size=1, max_size=8).map(b"".join),
    packed=st.booleans(),
    format=st.sampled_from(list(TYPES)),
    column=st.sampled_from(["", "1", "2", "serial"]),
)
@example(data=b"\xff,\xff\n", packed=False, format="csv", column="serial")
@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_bytes_break_a_page_or_an_answer(data, packed, format, column, acme, api, console):
    data = gzip.compress(data) if packed else data
    address = f"policies/{acme.policy.pk}/pool/actions/import?dry-run&skip-invalid"
    with transaction.atomic():
        upload = console.give(file=SimpleUploadedFile("keys", data), format=format, column=column)
        console.visit(upload)
        named = f"&column={column}" if column else ""
        response = api(acme.admin).post(f"{address}{named}", data, content_type=TYPES[format])
        transaction.set_rollback(True)

    assert response.status_code in (200, UNPROCESSABLE)
    assert response.json()


@given(st.text(alphabet=st.characters(), max_size=50), st.binary(max_size=50))
def test_escaped_text_can_be_stored_and_printed(text, data):
    for given_text in (text, data.decode(errors="surrogateescape")):
        found = escape_text(given_text)

        found.encode()
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", found)
        assert escape_text(found) == found
