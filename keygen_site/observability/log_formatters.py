"""Lines of the log. Whoever reads a log must not be able to act for those whose requests are in it."""

import logging
import re
from datetime import UTC, datetime

import orjson

from keygen_site.observability.request_context import request_id

_HIDDEN = "***"
_SECRETS = [
    # A token, wherever it comes up (contract: platform 5.2).
    (re.compile(r"\b(admin|dev|sales|spprt|read|prod|activ|user)-[0-9a-f]{8,}(?:v\d+)?"), rf"\1-{_HIDDEN}"),
    # A credential in a query.
    (re.compile(r"\b(token|auth)=[^&\s\"']+", re.IGNORECASE), rf"\1={_HIDDEN}"),
    # A header, as some library may print it.
    (re.compile(r"(authorization\W{1,6})[^\n]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    # The values of a row that PostgreSQL refuses.
    (re.compile(r"\b((?:DETAIL|CONTEXT):\s+)[^\n]+"), rf"\1{_HIDDEN}"),
    # A license named by its key rather than by its id; a key may have slashes, so it ends where we know what follows.
    (
        re.compile(
            r"(/licenses/)(?!actions/|\{|[0-9a-f-]{32,36}(?:[/\s?\"']|$))[^\s?\"']+?"
            r"(?=(?:/(?:actions|entitlements|group|machines|owner|policy|product|tokens|users?)(?:/[^\s?\"']*)?)?"
            r"(?:[\s?\"']|$))",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
]


def without_secrets(text):
    """A text as it may be written into a log."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class LineFormatter(logging.Formatter):
    """Formats a record, its traceback too, without what is secret in it; at the end the id of the request."""

    def format(self, record):
        text = without_secrets(super().format(record))
        id = request_id.get()
        return f"{text} request={id}" if id and "\n" not in text else text


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of JSON, its traceback too, without what is secret in it.

    What a record has in `facts` are members of their own.
    """

    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if id := request_id.get():
            line["request"] = id
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


class WithoutPath(logging.Filter):
    """Names the route where Django would name the path of a request: there may be a key in it."""

    def filter(self, record):
        from keygen_site.observability.request_context import (
            route_of,  # what it needs of Django is not there yet when logging is set up
        )

        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if part == path else part for part in record.args)
        return True
