"""From data to bytes: which media type an answer has, and how a document is written."""

import re

import orjson
from django.http import UnreadablePostError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework_json_api.renderers import JSONRenderer as PackageRenderer

from keygen_site.jsonapi.errors import DomainError, JSONInvalid, MimeTypeInvalid

JSON_API = "application/vnd.api+json"
JSON = "application/json"
# What a client may name, and what it then gets (contract: platform 2.1).
ACCEPTED = {
    JSON_API: JSON_API,
    "application/vnd.keygen+json": JSON_API,
    "application/octet-stream": JSON_API,
    "application/*": JSON_API,
    "*/*": JSON_API,
    "*": JSON_API,
    JSON: JSON,
}


class Document(dict):
    """A whole JSON:API document. Anything else that a viewset answers is rendered as its `data`."""


class JSONAPIRenderer(PackageRenderer):
    """Writes `data`, or a whole `Document`, as `application/vnd.api+json`.

    The package would derive resource objects from serializer fields here, which costs most of a
    request; ours come ready from `ResourceSerializer`.
    """

    media_type = JSON_API
    format = "jsonapi"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if renderer_context is not None and renderer_context["response"].status_code == 204:
            return b""
        return orjson.dumps(data if isinstance(data, Document) else {"data": data})


class JSONRenderer(JSONAPIRenderer):
    """The same document as `application/json`."""

    media_type = JSON
    format = "json"


class ContentNegotiation(BaseContentNegotiation):
    """Accept and Content-Type as the contract wants them (platform 2.1, 2.2)."""

    def select_parser(self, request, parsers):
        return select_parser(request.content_type, parsers)

    def select_renderer(self, request, renderers, format_suffix=None):
        if format_suffix:
            for renderer in renderers:
                if renderer.format == format_suffix:
                    return renderer, renderer.media_type
            raise MimeTypeInvalid
        media_type = accepted_media_type(request.META.get("HTTP_ACCEPT", ""))
        renderer = next(renderer for renderer in renderers if renderer.media_type == media_type)
        return renderer, media_type


def accepted_media_type(accept):
    """The media type to answer with, by an Accept header: the one preferred, the first of equals.

    Raises:
        MimeTypeInvalid: none of those listed is known.
    """
    if not accept.strip() or accept == "*/*":
        return JSON_API
    if accept in ACCEPTED:
        return ACCEPTED[accept]
    best, best_quality = None, 0.0
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if name in ACCEPTED and quality > best_quality:
            best, best_quality = ACCEPTED[name], quality
    if best is None:
        raise MimeTypeInvalid
    return best


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
