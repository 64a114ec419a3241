"""From data to bytes: which media type an answer has, and how a document is written."""

import orjson
from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework_json_api.renderers import JSONRenderer as PackageRenderer

from keygen_site.errors import MimeTypeInvalid
from keygen_site.parsers import select_parser

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


def error_object(error):
    """A `DomainError` as a member of `errors`; what it does not know is left out (contract: platform 4.1)."""
    members = {
        "title": error.title,
        "detail": error.detail,
        "code": error.code,
        "source": error.source,
        "links": error.about and {"about": error.about},
    }
    return {name: value for name, value in members.items() if value}


def error_response(request, error):
    """The answer to a request that no viewset handles, in the client's media type if it named a known one."""
    try:
        media_type = accepted_media_type(request.headers.get("Accept", ""))
    except MimeTypeInvalid:
        media_type = JSON_API
    body = orjson.dumps({"errors": [error_object(error)]})
    content_type = f"{media_type}; charset=utf-8"
    return HttpResponse(body, status=error.status, content_type=content_type, headers=dict(error.headers))
