"""The export of the fixture, an account of keygen-api 1.8 with invented people, and exports made from it."""

import json
import re
from io import BytesIO
from pathlib import Path

from accounts.audit import AuditContext
from pools.moving.format import ExportReader, ExportWriter
from pools.moving.importing import import_account

FIXTURE = Path(__file__).parent / "fixture"
PLAIN, ENCRYPTED = ((FIXTURE / f"{name}.export").read_bytes() for name in ("plain", "encrypted"))
TOKENS = (FIXTURE / "tokens.csv").read_bytes()
SECRETS = json.loads((FIXTURE / "secrets.json").read_text())
SHOWN = json.loads((FIXTURE / "as-the-api-shows-it.json").read_text())
ACCOUNT_ID = SECRETS["account"]
# Each refusal has one of these.
WAYS_OUT = re.compile(r"export again|[Ww]rite |[Cc]opy it again|another server|--[a-z]")


def import_fixture(export=PLAIN, *, tokens=TOKENS, **options):
    """Import an export, and return the report."""
    stream = BytesIO(export)
    return import_account(
        export=stream,
        tokens=None if tokens is None else BytesIO(tokens),
        audit=AuditContext(operator="tests"),
        **options,
    )


def read_export(export=PLAIN, secret=None):
    """The rows of an export, by class."""
    rows = {}
    for chunk in ExportReader(BytesIO(export), secret):
        rows.setdefault(chunk.class_name, []).extend(chunk.rows)
    return rows


def write_export(rows, secret=None):
    """An export of rows by class, in their order."""
    stream = BytesIO()
    writer = ExportWriter(stream, secret)
    for class_name, of_class in rows.items():
        writer.write(class_name, of_class)
    return stream.getvalue()
