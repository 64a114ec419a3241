"""Media types of requests and responses; the parser and the renderers of JSON:API documents."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from django.http import HttpRequest, UnreadablePostError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework_json_api.renderers import JSONRenderer as PackageRenderer

from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import REFERENCE, DomainError, JSONInvalid, MimeTypeInvalid

JSON_API = "application/vnd.api+json"
JSON = "application/json"
BINARY = "application/octet-stream"  # that of files; a document is JSON:API nevertheless
# Other names of JSON.
JSON_NAMES = ("application/problem+json", "application/jsonrequest", "text/x-json")
# Media types in Accept, and those of the responses (contract: platform 2.1).
ACCEPTED = {
    JSON_API: JSON_API,
    "application/vnd.keygen+json": JSON_API,
    BINARY: JSON_API,
    "*/*": JSON_API,
    "*": JSON_API,
    JSON: JSON,
    "application/*": JSON,
    "text/*": JSON,  # of which `text/x-json` is one
    **dict.fromkeys(JSON_NAMES, JSON),
}
# Media types in Content-Type that are read as JSON (contract: platform 2.2). `curl -d` sends that of a form by default.
JSON_TYPES = {
    "",
    "application/vnd.api+json",
    "application/vnd.keygen+json",
    "application/json",
    *JSON_NAMES,
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
}
# Suffixes of a path, which decide where Accept does not.
SUFFIXES = {"json": JSON, "jsonapi": JSON_API}
# The longest real document, a license with all its metadata, has some 35,000 bytes.
MAX_DOCUMENT_BYTES = 1 << 20
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)


class Document(dict[str, Any]):
    """A whole JSON:API document. Any other data of a response is rendered as the document's `data`."""


class DocumentTooLarge(DomainError):
    """The body is larger than 1 MiB.

    Its bytes are counted as they arrive: Content-Length may be wrong.
    """

    status = 413
    title = "Request entity too large"
    detail = f"The body of the request is too large (maximum is {MAX_DOCUMENT_BYTES} bytes)"
    code = "BODY_TOO_LARGE"
    about = REFERENCE
    early = True


# Responses -----------------------------------------------------------------------------------------------------------


class JSONAPIRenderer(PackageRenderer):
    """Writes `data`, or a whole `Document`, as `application/vnd.api+json`.

    The package would derive resource objects from serializer fields, which takes most of the time of a request;
    `ResourceSerializer` has built them already.
    """

    media_type = JSON_API
    format = "jsonapi"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if renderer_context is not None and renderer_context["response"].status_code == 204:
            return b""
        return codec.dumps(data if isinstance(data, Document) else {"data": data})


class JSONRenderer(JSONAPIRenderer):
    """The same document as `application/json`."""

    media_type = JSON
    format = "json"


class ContentNegotiation(BaseContentNegotiation):
    """Negotiates media types by the contract's rules (platform 2.1, 2.2)."""

    def select_parser(self, request: Any, parsers: Iterable[BaseParser]) -> BaseParser:
        return select_parser(request.content_type, list(parsers))

    def select_renderer(
        self, request: Any, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        accept = request.META.get("HTTP_ACCEPT", "").strip()
        if format_suffix and format_suffix not in SUFFIXES:
            raise MimeTypeInvalid
        media_type = SUFFIXES[format_suffix] if format_suffix and accept in ("", "*/*") else accepted_media_type(accept)
        renderer = next(renderer for renderer in renderers if renderer.media_type == media_type)
        return renderer, media_type


def accepted_media_type(accept: str) -> str:
    """The media type of the response for an Accept header: the preferred one, the first of equals.

    Raises:
        MimeTypeInvalid: the header names no known media type.
    """
    if not accept or accept == "*/*":
        return JSON_API
    if accept in ACCEPTED:
        return ACCEPTED[accept]
    best = named_media_type(accept, ACCEPTED)
    if best is None:
        raise MimeTypeInvalid
    return ACCEPTED[best]


def named_media_type(accept: str, known: Collection[str]) -> str | None:
    """The known media type that an Accept header prefers, the first of equals; None if it names none of them."""
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
        if name in known and quality > best_quality:
            best, best_quality = name, quality
    return best


def is_accept(header: str) -> bool:
    """Whether a text is an Accept header: media types or ranges of them, known or not."""
    names = (part.partition(";")[0].strip() for part in header.split(","))
    return all(name in ("", "*") or _MEDIA_TYPE.fullmatch(name) for name in names)


# Requests ------------------------------------------------------------------------------------------------------------


class DocumentParser(BaseParser):
    """Reads a body as JSON."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            body = _read(stream)
        except UnreadablePostError:
            raise JSONInvalid from None  # the client has closed the connection and never reads the response
        if not body:
            return {}
        value = codec.loads(body)
        return value if isinstance(value, dict) else {"data": value}


def _read(stream: Any) -> bytes:
    body = b""
    while block := stream.read(MAX_DOCUMENT_BYTES + 1 - len(body)):
        body += block
        if len(body) > MAX_DOCUMENT_BYTES:
            raise DocumentTooLarge
    return body


class UnreadParser(BaseParser):
    """Ignores a body that is not JSON: the request is handled as if it had no body."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {}


def select_parser(content_type: str | None, parsers: Sequence[BaseParser]) -> BaseParser:
    """The parser for a Content-Type header.

    Raises:
        MimeTypeInvalid: the header is not a media type.
    """
    name = re.split("[;,]", content_type or "", maxsplit=1)[0].strip().lower()
    if name in JSON_TYPES:
        return parsers[0]
    if not _MEDIA_TYPE.fullmatch(name):
        raise MimeTypeInvalid
    return UnreadParser()


def open_chunked(request: HttpRequest, wrapper: Request) -> None:
    """Make the body of a chunked request readable, by Django and by DRF.

    Django reads no body without a Content-Length, which such a request lacks. If the server sets
    `wsgi.input_terminated`, reading stops at the end of the body.

    Args:
        wrapper: DRF's request.
    """
    environ = request.META
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not environ.get("CONTENT_LENGTH")
    if chunked and environ.get("wsgi.input_terminated"):
        request._stream = environ["wsgi.input"]
        wrapper._stream = cast(Any, request)
