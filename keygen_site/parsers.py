"""From bytes to data: what a request's body says."""

import re

import orjson
from django.http import UnreadablePostError
from rest_framework.parsers import BaseParser

from keygen_site.errors import DomainError, JSONInvalid, MimeTypeInvalid

# Bytes of a document. The longest that anybody has reason to send, a license with all its metadata, has some 35,000.
MOST = 1 << 20

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


class DocumentTooLarge(DomainError):
    """Said as soon as that many bytes have come, however many the client says, or does not say, are to follow."""

    status = 413
    title = "Request entity too large"
    detail = f"The body of the request is too large (maximum is {MOST} bytes)"
    code = "BODY_TOO_LARGE"
    early = True


class DocumentParser(BaseParser):
    """Reads a body as strict JSON: no comments, no bad escapes, no lone surrogates, no endless numbers."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            body = _read(stream)
        except UnreadablePostError:
            raise JSONInvalid from None  # the client is gone in the middle of it; nobody reads this answer
        if not body.strip():
            return {}
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise JSONInvalid from None
        return value if isinstance(value, dict) else {"data": value}


def _read(stream):
    body = b""
    while block := stream.read(MOST + 1 - len(body)):
        body += block
        if len(body) > MOST:
            raise DocumentTooLarge
    return body


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


def open_chunked(request):
    """Have the body of a request that comes in chunks read to its end; it has no length that could be known before.

    Django takes such a body for an empty one: a server need not say where it ends, but those that do say so.

    Args:
        request: Django's.

    Returns:
        whether it is such a request.
    """
    environ = request.META
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not environ.get("CONTENT_LENGTH")
    if chunked and environ.get("wsgi.input_terminated"):
        request._stream = environ["wsgi.input"]
        return True
    return False
