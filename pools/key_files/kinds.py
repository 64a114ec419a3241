"""Files that are not lists of keys, by their first bytes: archives, documents, images, programs, web pages.

Read line by line, such a file looks like a list with many faulty lines, and some of its lines may pass for keys.
"""

import re
from collections.abc import Sequence

_UNPACK = "Unpack it and import the file that has the keys."
_SHEET = "Save the sheet as CSV and import that."
_OLD = "Save the sheet as .xlsx without a password, or as CSV, and import that."
_WORKBOOK = "Save the workbook as .xlsx and import that."
_TEXT = "Save the keys as plain text, one on each line, and import that."

# A key may begin with a signature of plain letters (MZ, GIF89a), so a NUL must follow, which no key contains.
_SIGNATURES = [
    (
        rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet",
        "an OpenDocument sheet (.ods)",
        _SHEET,
    ),
    (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument", "an OpenDocument file such as .odt", _TEXT),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls) or another old or encrypted Office file", _OLD),
    (rb"\x1f\x8b", "a file that was gzipped twice", "Unpack it once and import that."),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "a bzip2 archive", _UNPACK),
    (rb"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (rb"\x04\x22\x4d\x18", "an lz4 archive", _UNPACK),
    (rb"\x1f[\x9d\xa0]", "a compressed file (.Z)", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (rb".{257}ustar[\x00 ]", "a tar archive", _UNPACK),
    (rb"%PDF-\d", "a PDF document", _TEXT),
    (rb"\{\\rtf\d", "a rich text document (.rtf)", _TEXT),
    (
        rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a.{0,6}\x00|II\*\x00|MM\x00\*|BM.{4}\x00{4}|RIFF.{4}WEBP|\x00{3}.ftyp",
        "an image or a video",
        _TEXT,
    ),
    (
        rb"MZ.{0,62}\x00|\x7fELF|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe|\x00asm",
        "a program",
        _TEXT,
    ),
    (rb"SQLite format 3\x00", "an SQLite database", _TEXT),
]
_KINDS = [(re.compile(signature, re.DOTALL), f"This is {kind}. {advice}") for signature, kind, advice in _SIGNATURES]

# The parts of documents that are zip archives.
_PARTS = [
    ("xl/workbook.bin", "an Excel binary workbook (.xlsb)", _WORKBOOK),
    ("word/", "an Office document such as .docx", _TEXT),
    ("ppt/", "an Office document such as .pptx", _TEXT),
    ("visio/", "a Visio drawing", _TEXT),
    ("Index/Document.iwa", "a document of Pages, Numbers or Keynote", _SHEET),
    ("Index.zip", "a document of Pages, Numbers or Keynote", _SHEET),
    ("META-INF/container.xml", "an e-book (.epub)", _TEXT),
    ("META-INF/MANIFEST.MF", "a program (.jar or .apk)", _TEXT),
]

_MARKUP = re.compile(r"\s*<(\?xml|\?php|!doctype|!--|[a-z][\w:.-]*(\s[^<>]*)?/?>)", re.IGNORECASE)
_DECLARED = re.compile(r"\s*<[?!]")
_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_SCALAR = r"(-?{digits}(\.\d+)?([eE][+-]?\d+)?|-?Infinity|NaN|true|false|null)"
_FIRST_SCALAR, _ONLY_SCALAR = _SCALAR.format(digits=r"\d+"), _SCALAR.format(digits=r"(0|[1-9]\d*)")
# Not any brace or bracket: a key may look like {3F2504E0-…}, [AAAA-BBBB] or [00012345]. A list of one scalar is all of
# the text, or else the lines are keys in brackets.
_JSON = re.compile(rf"\s*(\{{\s*[\"}}]|\[\s*([\"{{\[\]]|{_FIRST_SCALAR}\s*,|{_ONLY_SCALAR}\s*\]\s*\Z))")


def find_archive_error(head: bytes, names: Sequence[str] = ()) -> str | None:
    """Why a zip archive is a document that is no list of keys. None if it may be an archive of one, or a workbook."""
    for signature, error in _KINDS:
        if head and signature.match(head):
            return error
    for part, kind, advice in _PARTS:
        if any(name.startswith(part) for name in names):
            return f"This is {kind}. {advice}"
    return None


def find_binary_error(head: bytes) -> str | None:
    """Why a file cannot be a list of keys, by its first kilobytes, unpacked. None if it may be one."""
    return next((error for signature, error in _KINDS if signature.match(head)), None)


def find_markup_error(text: str) -> str | None:
    """Why a text cannot be a list of keys, by its first kilobytes. None if it may be one."""
    if text.startswith("version https://git-lfs.github.com/"):
        return "This is a pointer of Git LFS, not the file itself. Fetch the file with `git lfs pull`, and import that."
    if not _MARKUP.match(text) or not (_DECLARED.match(text) or "</" in text):
        return None
    if _PAGE.search(text):
        return (
            "This is a web page (HTML), perhaps an error page that was downloaded in place of the keys. "
            "Download the keys again, as text or CSV."
        )
    return f"This is an XML document. {_TEXT}"


def is_json(text: str) -> bool:
    """Whether a text is JSON or lines of JSON, by its first kilobytes."""
    return bool(_JSON.match(text))
