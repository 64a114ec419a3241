"""Recognizing files that are not lists of keys by their first bytes: archives, documents, images, programs, web pages.

Read line by line, such a file looks like a list with many faulty lines, and some of its lines may pass for keys.
"""

import re

_UNPACK = "Unpack it and import the file that has the keys."
_SHEET = "Save the sheet as CSV and import that."
_TEXT = "Save the keys as plain text, one on each line, and import that."

# A key may begin with a signature of plain letters (MZ, GIF89a), so a NUL must follow, which no key contains.
_SIGNATURES = [
    (
        rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet",
        "an OpenDocument sheet (.ods)",
        _SHEET,
    ),
    (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument", "an OpenDocument file such as .odt", _TEXT),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive", _UNPACK),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls) or another old or encrypted Office file", _SHEET),
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

_WORKBOOK = re.compile(rb"PK\x03\x04.{26}xl/", re.DOTALL)
_DOCUMENT = re.compile(rb"PK\x03\x04.{26}(word|ppt)/", re.DOTALL)

_MARKUP = re.compile(rb"\s*<(\?xml|\?php|!doctype|!--|[a-z][\w:.-]*(\s[^<>]*)?/?>)", re.IGNORECASE)
_DECLARED = re.compile(rb"\s*<[?!]")
_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
# Not any brace or bracket: a key may look like {3F2504E0-…} or [AAAA-BBBB].
_JSON = re.compile(rb"\s*(\{\s*[\"}]|\[\s*([\"{\[\]]|-?\d+\s*,))")


def find_file_kind_error(block: bytes, format: str = "text") -> str | None:
    """Why a file cannot be a list of keys, with a way out. None if it may be one.

    Args:
        block: the first kilobytes of the file, unpacked and without a byte order mark.
        format: the format that the file is read as. JSON is refused unless it is `ndjson`.
    """
    if block.startswith(b"PK\x03\x04"):
        # By the names of the first files in the archive: the block has only the first ones of a large workbook.
        if _WORKBOOK.search(block):
            return f"This is an Excel workbook (.xlsx). {_SHEET}"
        if _DOCUMENT.search(block):
            return f"This is an Office document such as .docx. {_TEXT}"
    for signature, error in _KINDS:
        if signature.match(block):
            return error
    if _MARKUP.match(block) and (_DECLARED.match(block) or b"</" in block):
        if _PAGE.search(block):
            return (
                "This is a web page (HTML), perhaps an error page that was downloaded in place of the keys. "
                "Download the keys again, as text or CSV."
            )
        return f"This is an XML document. {_TEXT}"
    if format != "ndjson" and _JSON.match(block):
        return (
            'This is JSON. Write each key as an object on a line of its own, {"key": "…"}, '
            "and import that in the format NDJSON."
        )
    return None
