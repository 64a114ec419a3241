"""Small workbooks (.xlsx), written with the standard library."""

import io
import zipfile
from xml.sax.saxutils import escape

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_APPLICATION = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def zipped(*members):
    """Return a zip archive of (name, content) pairs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def workbook(rows, sheet="Sheet1"):
    """Return a workbook of one sheet. A cell is a text, a number, or None."""
    relations = f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_RELATION}'
    return zipped(
        (
            "[Content_Types].xml",
            f'{_HEAD}<Types xmlns="{_TYPES}">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_APPLICATION}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_APPLICATION}.worksheet+xml"/></Types>',
        ),
        ("_rels/.rels", f'{_HEAD}{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>'),
        (
            "xl/workbook.xml",
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATION}">'
            f'<sheets><sheet name="{escape(sheet)}" sheetId="1" r:id="r1"/></sheets></workbook>',
        ),
        (
            "xl/_rels/workbook.xml.rels",
            f'{_HEAD}{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        ),
        (
            "xl/worksheets/sheet1.xml",
            f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>{_rows_of(rows)}</sheetData></worksheet>',
        ),
    )


def _rows_of(rows):
    found = []
    for number, row in enumerate(rows, 1):
        cells = [_cell(f"{chr(65 + index)}{number}", value) for index, value in enumerate(row) if value is not None]
        found.append(f'<row r="{number}">{"".join(cells)}</row>')
    return "".join(found)


def _cell(place, value):
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'
