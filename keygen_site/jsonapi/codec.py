"""JSON of requests and responses: strict, but with integers of any size and with unescaped control characters."""

import json
import re
from typing import Any

import orjson

from keygen_site.jsonapi.errors import JSONInvalid

# orjson reads an integer beyond 64 bits as a float, and does not write it.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_STRING = re.compile(rb'"(?:[^"\\]|\\[^\x00-\x1f])*+"')
_CONTROL_CHARACTER = re.compile(rb"[\x01-\x1f]")


def loads(body: bytes) -> Any:
    """The value of a JSON text without comments, invalid escapes, lone surrogates, NULs or infinite numbers.

    A text may have unescaped line breaks and tabs: shell scripts paste them.

    Raises:
        JSONInvalid: the body is not JSON.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        body = _STRING.sub(_escape, body)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise JSONInvalid from None
    if not _LONG_NUMBER.search(body):
        return value
    try:
        return json.loads(body)  # accepts more than JSON, but this is JSON already
    except (ValueError, RecursionError):  # more digits, or deeper, than Python reads
        raise JSONInvalid from None


def dumps(value: Any, *, sort_keys: bool = False) -> bytes:
    """The JSON text of a value, without blanks."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys).encode()


def _escape(text: re.Match[bytes]) -> bytes:
    return _CONTROL_CHARACTER.sub(lambda match: b"\\u%04x" % match[0][0], text[0])
