"""Log formatters that redact secrets, so that a reader of the log gets no credential or key."""

import logging
import re
from datetime import UTC, datetime
from typing import Any

import orjson

from keygen_site.observability.request_context import request_id, route_of

_REDACTED = "***"
# For each kind: a lower-case text that every match contains, which is faster to find than the pattern; the pattern; the
# replacement.
_SECRETS = [
    # A token, anywhere (contract: platform 5.2).
    ("-", re.compile(r"\b(admin|dev|sales|spprt|read|prod|activ|user)-[0-9a-f]{8,}(?:v\d+)?"), rf"\1-{_REDACTED}"),
    # A credential in a query.
    ("=", re.compile(r"\b(token|auth)=[^&\s\"']+", re.IGNORECASE), rf"\1={_REDACTED}"),
    # A header, in any form that a library prints it in.
    ("authorization", re.compile(r"(authorization\W{1,6})[^\n]+", re.IGNORECASE), rf"\1{_REDACTED}"),
    # The values of a row that PostgreSQL refuses.
    ("detail:", re.compile(r"\b(DETAIL:\s+)[^\n]+"), rf"\1{_REDACTED}"),
    ("context:", re.compile(r"\b(CONTEXT:\s+)[^\n]+"), rf"\1{_REDACTED}"),
    # A license key in a path. It may contain slashes, so it ends before a known segment.
    (
        "/licenses/",
        re.compile(
            r"(/licenses/)(?!actions/|\{|[0-9a-f-]{32,36}(?:[/\s?\"']|$))[^\s?\"']+?"
            r"(?=(?:/(?:actions|entitlements|group|machines|owner|policy|product|tokens|users?)(?:/[^\s?\"']*)?)?"
            r"(?:[\s?\"']|$))",
            re.IGNORECASE,
        ),
        rf"\1{_REDACTED}",
    ),
]


def redact(text: str) -> str:
    """A text without credentials, license keys and values of rows."""
    lower = text.lower()
    for part, pattern, replacement in _SECRETS:
        if part in lower:
            text = pattern.sub(replacement, text)
    return text


class LineFormatter(logging.Formatter):
    """Formats a record as text, redacted, with its traceback, and with the id of the request at the end."""

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record))
        id = request_id.get()
        return f"{text} request={id}" if id and "\n" not in text else text


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of JSON, redacted, with its traceback.

    The items of a record's `facts` become members of the object.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if id := request_id.get():
            line["request"] = id
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


class HidePathFilter(logging.Filter):
    """Replaces the path in records of Django by the route: a path may contain a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if argument == path else argument for argument in record.args)
        return True
