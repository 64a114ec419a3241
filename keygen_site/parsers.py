"""From bytes to data: what a request's body says."""

import re

import orjson
from rest_framework.parsers import BaseParser

from keygen_site.errors import JSONInvalid, MimeTypeInvalid

# Read as JSON (contract: platform 2.2). The forms are there because `curl -d` says so without being asked.
JSON_TYPES = {
    "",
    "application/vnd.api+json",
    "application/vnd.keygen+json",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
}
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)


class DocumentParser(BaseParser):
    """Reads a body as strict JSON: no comments, no bad escapes, no lone surrogates, no endless numbers."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        if not body.strip():
            return {}
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise JSONInvalid from None
        return value if isinstance(value, dict) else {"data": value}


class UnreadParser(BaseParser):
    """For a body of a type that is not JSON: the request goes on as if it had none."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        return {}


def select_parser(content_type, parsers):
    """The parser for a Content-Type header.

    Raises:
        MimeTypeInvalid: the header is no media type at all.
    """
    name = (content_type or "").partition(";")[0].strip().lower()
    if name in JSON_TYPES:
        return parsers[0]
    if not _MEDIA_TYPE.fullmatch(name):
        raise MimeTypeInvalid
    return UnreadParser()
