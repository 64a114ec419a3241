"""Paths of requests, split at their slashes before they are decoded.

A URL may name a license by its key, a product by its code and a user by an e-mail, and these may contain slashes, which
a client sends as `%2F`. Servers give WSGI applications the decoded path, in which such a slash looks like one between
two segments. So below `/v1/` routes are matched against the path as it was sent, in which `%2F`, `%2E` and `%25` are
not decoded; `decode_identifiers` decodes them in each parameter of the matched route.

Servers that pass on the path as it was sent do so in `RAW_URI` (gunicorn, `keygen_site.asgi`) or `REQUEST_URI` (uWSGI,
mod_wsgi). Behind any other, such as Django's runserver, routes are matched against the decoded path.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from django.http import HttpRequest
from django.utils.encoding import escape_uri_path, iri_to_uri

from keygen_site.db.uuids import parse_uuid

API_PREFIX = "/v1/"
# In `META` of a request whose path is known as it was sent.
_IS_EXACT = "keygen.path_is_exact"
# Escapes that are not decoded, and percent signs that begin no escape.
_UNDECODED = re.compile(rb"%(?:(2[5EeFf])|(?![0-9A-Fa-f]{2}))")
_ESCAPES = {"%2F": "/", "%2E": ".", "%25": "%"}
_ESCAPE = re.compile("|".join(_ESCAPES))
_SLASHES = re.compile("/{2,}")
# A test compares it with the routes.
_TRANSFER = re.compile(
    r"(?:/actions/+(?:import|export)|/key-imports/+[^/]+/+rejections)(?:[/.]|$)"
    r"|^/+admin/.*/(?:import|export|rejected)/"
)


def merge_leading_slashes(request: HttpRequest) -> None:
    """Remove repeated slashes at the beginning of an API path, e.g. after a base URL that ends with a slash."""
    if request.path_info.startswith("//"):
        path = "/" + request.path_info.lstrip("/")
        if path.startswith(API_PREFIX):
            request.path = request.path_info = path


def is_utf8(request: HttpRequest) -> bool:
    """Whether the bytes of the path are UTF-8.

    Django percent-encodes those that are not, so that they look like percent signs of the client. Only the path as it
    was sent tells them apart; without it, both are taken for bytes.
    """
    sent = _sent_path(request)
    try:
        unquote_to_bytes(request.path_info if sent is None else sent).decode()
    except UnicodeDecodeError:
        return False
    return True


def set_route_path(request: HttpRequest) -> None:
    """Set the path that routes are matched against. Its bytes must be UTF-8."""
    if not request.path_info.startswith(API_PREFIX):
        return
    sent = _path_as_sent(request)
    if sent is None:
        request.path_info = _SLASHES.sub("/", request.path_info)
        return
    request.META[_IS_EXACT] = True
    if b"%" in sent or b"//" in sent:
        escaped = _UNDECODED.sub(lambda match: b"%25" + (match[1] or b"25").upper(), sent)
        # Doubled slashes count as one, anywhere in the path (contract: platform 1.2).
        request.path_info = _SLASHES.sub("/", unquote_to_bytes(escaped).decode())


def decode_identifiers(request: HttpRequest, parameters: dict[str, Any], *, at_end: bool) -> dict[str, Any]:
    """The parameters of the matched route, decoded.

    A suffix such as `.json` after an id names the media type; at the end of a key, a code or an e-mail it is part of
    it. So is a slash at the end if the path is not known as it was sent: it may have been `%2F`.

    Args:
        parameters: by name; `pk` names the resource itself.
        at_end: whether `pk` may be a key, a code or an e-mail, and only a suffix and a slash may follow it.
    """
    is_exact = request.META.get(_IS_EXACT, False)
    if is_exact:
        parameters = {name: _decode(text) if isinstance(text, str) else text for name, text in parameters.items()}
    if at_end and parse_uuid(parameters["pk"]) is None:
        if suffix := parameters.pop("format", None):
            parameters["pk"] += f".{suffix}"
        if not is_exact and request.path_info.endswith("/"):
            parameters["pk"] += "/"
    return parameters


def spans_segments(request: HttpRequest) -> bool:
    """Whether an identifier in the matched route has a slash that was not escaped. False if this is not known."""
    match = request.resolver_match
    parameters = match.kwargs.values() if match and request.META.get(_IS_EXACT) else ()
    return any("/" in text for text in parameters if isinstance(text, str))


def quote_path(request: HttpRequest) -> str:
    """The path of a request, percent-encoded, for a link."""
    if request.META.get(_IS_EXACT):
        return quote(request.path_info, safe="/:@&+$,-_.!~*'()%")
    return escape_uri_path(request.path)


def normalize_url(request: HttpRequest) -> str:
    """Path and query of a request. Equal URLs that are spelled differently become the same text."""
    query = request.META.get("QUERY_STRING", "")
    return quote_path(request) + (f"?{iri_to_uri(query)}" if query else "")


def is_transfer(path: str) -> bool:
    """Whether requests with a path, decoded, have a file in the body or the response."""
    return _TRANSFER.search(path) is not None


def _path_as_sent(request: HttpRequest) -> bytes | None:
    """The path before it was decoded, or None if the server does not pass it on."""
    sent = _sent_path(request)
    # None if a layer in front of the application has rewritten the path.
    return sent if sent is not None and unquote_to_bytes(sent) == request.path_info.encode() else None


def _sent_path(request: HttpRequest) -> bytes | None:
    """The path that the client sent, which a layer in front of the application may have rewritten. None if unknown."""
    target = request.META.get("RAW_URI") or request.META.get("REQUEST_URI") or ""
    path = target.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):  # the absolute form: `GET http://host/path`
        path = urlsplit(path).path
    try:
        sent = path.encode("latin-1")  # WSGI has the bytes of a request as latin-1
    except UnicodeEncodeError:
        return None
    if sent.startswith(b"//"):
        sent = b"/" + sent.lstrip(b"/")
    return sent or None


def _decode(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)
