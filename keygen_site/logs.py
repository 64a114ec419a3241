"""Lines of the log. Whoever reads a log must not be able to act for those whose requests are in it."""

import logging
import re

_HIDDEN = "***"
_SECRETS = [
    # A token, wherever it comes up (contract: platform 5.2).
    (re.compile(r"\b(admin|dev|sales|spprt|read|prod|activ|user)-[0-9a-f]{8,}(?:v\d+)?"), rf"\1-{_HIDDEN}"),
    # A credential in a query.
    (re.compile(r"\b(token|auth)=[^&\s\"']+", re.IGNORECASE), rf"\1={_HIDDEN}"),
    # A header, as some library may print it.
    (re.compile(r"(authorization\W{1,6})[^\n]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    # A license named by its key rather than by its id; a key may have slashes, so it ends where we know what follows.
    (
        re.compile(
            r"(/licenses/)(?!actions/|[0-9a-f-]{32,36}(?:[/\s?\"']|$))[^\s?\"']+?"
            r"(?=(?:/(?:actions|entitlements|group|machines|owner|policy|product|tokens|users?)(?:/[^\s?\"']*)?)?"
            r"(?:[\s?\"']|$))",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
]


class LineFormatter(logging.Formatter):
    """Formats a record, its traceback too, without what is secret in it."""

    def format(self, record):
        text = super().format(record)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text
