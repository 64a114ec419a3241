"""Reading the ledger as a file."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from keygen_site.spreadsheets import defuse_formula, format_csv
from pools.models import KeyEvent
from pools.models.key_events import KeyEventQuerySet

# The formats and their media types. The first is the default.
LEDGER_FORMATS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
PAGE_SIZE = 1_000
COLUMNS = {
    "id": "id",
    "created": "created",
    "event": "event",
    "key": "key_id",
    "product": "product_id",
    "policy": "policy_id",
    "license": "license_id",
    "import": "key_import_id",
    "reference": "reference",
    "bearerType": "bearer_type",
    "bearerId": "bearer_id",
    "tokenId": "token_id",
    "tokenName": "token_name",
    "operator": "operator",
    "operatorId": "operator_id",
    "requestId": "request_id",
    "details": "details",
}


def read_events(events: KeyEventQuerySet) -> Iterator[KeyEvent]:
    """Events, newest first, in flat memory: no cursor stays open."""
    events = events.order_by("-policy_id", "-id") if events.policy_id else events.order_by("-id")
    page = list(events[:PAGE_SIZE])
    while page:
        yield from page
        page = list(events.bounded("lt", page[-1].pk)[:PAGE_SIZE])


def serialize_events(events: Iterable[KeyEvent], format: str) -> Iterator[str]:
    """Yield the lines of a file of events, many at a time.

    In CSV a text that a spreadsheet would run as a formula gets an apostrophe in front: callers choose references.

    Args:
        format: one of LEDGER_FORMATS.
    """
    if format == "csv":
        yield format_csv([list(COLUMNS)])
    rows = ({column: getattr(event, name) or None for column, name in COLUMNS.items()} for event in events)
    while block := list(islice(rows, PAGE_SIZE)):
        if format == "csv":
            yield format_csv([[_cell(value) for value in row.values()] for row in block])
        else:
            yield "".join(orjson.dumps(row).decode() + "\n" for row in block)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return defuse_formula(orjson.dumps(value).decode() if isinstance(value, dict) else str(value))
