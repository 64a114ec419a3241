"""Paths of requests, split at their slashes before they are decoded.

A license is named by its key, a product by its code and a user by an e-mail, and all of them may have slashes, which
a client sends as `%2F`. Servers give WSGI applications the decoded path, in which these look like the slashes between
the parts of an address. So below `/v1/` routes are matched against the path as it was sent, in which `%2F`, `%2E` and
`%25` are not decoded; they are decoded in each part that a route has found (`identifiers_of`).

Servers that pass on the path as it was sent say so in `RAW_URI` (gunicorn, `keygen_site.asgi`) or `REQUEST_URI`
(uWSGI, mod_wsgi). Behind any other, such as Django's runserver, routes are matched against the decoded path.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from django.http import HttpRequest
from django.utils.encoding import escape_uri_path, iri_to_uri

from keygen_site.db.uuids import parse_uuid

API = "/v1/"
# Set for a request whose path is known as it was sent.
_IS_EXACT = "keygen.path_is_exact"
# Escapes that stay, and percent signs that begin no escape.
_KEPT = re.compile(rb"%(?:(2[5EeFf])|(?![0-9A-Fa-f]{2}))")
_ESCAPES = {"%2F": "/", "%2E": ".", "%25": "%"}
_ESCAPE = re.compile("|".join(_ESCAPES))
_SLASHES = re.compile("/{2,}")


def split_path(request: HttpRequest) -> None:
    """Set the path that routes are matched against; its bytes are known to be UTF-8."""
    sent = _path_as_sent(request) if request.path_info.startswith(API) else None
    if sent is None:
        return
    request.META[_IS_EXACT] = True
    if b"%" in sent or b"//" in sent:
        escaped = _KEPT.sub(lambda found: b"%25" + (found[1] or b"25").upper(), sent)
        # Doubled slashes count as one, anywhere in the path (contract: platform 1.2).
        request.path_info = _SLASHES.sub("/", unquote_to_bytes(escaped).decode())


def identifiers_of(request: HttpRequest, parts: dict[str, Any], *, at_end: bool) -> dict[str, Any]:
    """The parts of an address that a route has found, decoded.

    A suffix such as `.json` after an id names the media type; at the end of a key, a code or an e-mail it is part of
    it. So is a slash at the end where it is not known whether it was sent as `%2F`.

    Args:
        parts: what the route calls them; `pk` names the resource itself.
        at_end: whether nothing but a suffix and a slash may follow `pk` in the route.
    """
    is_exact = request.META.get(_IS_EXACT, False)
    if is_exact:
        parts = {name: _decoded(text) if isinstance(text, str) else text for name, text in parts.items()}
    if at_end and parse_uuid(parts["pk"]) is None:
        if suffix := parts.pop("format", None):
            parts["pk"] += f".{suffix}"
        if not is_exact and request.path_info.endswith("/"):
            parts["pk"] += "/"
    return parts


def path_of(request: HttpRequest) -> str:
    """The path of a request as it may stand in a link, percent-encoded."""
    if request.META.get(_IS_EXACT):
        return quote(request.path_info, safe="/:@&+$,-_.!~*'()%")
    return escape_uri_path(request.path)


def address_of(request: HttpRequest) -> str:
    """Path and query of a request, in which equal addresses are spelled alike."""
    query = request.META.get("QUERY_STRING", "")
    return path_of(request) + (f"?{iri_to_uri(query)}" if query else "")


def _path_as_sent(request: HttpRequest) -> bytes | None:
    """The path before it was decoded, or None where the server does not pass it on."""
    address = request.META.get("RAW_URI") or request.META.get("REQUEST_URI") or ""
    path = address.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):  # the absolute form: `GET http://host/path`
        path = urlsplit(path).path
    try:
        sent = path.encode("latin-1")  # WSGI shows the bytes of a request as latin-1
    except UnicodeEncodeError:
        return None
    # Not if something in front of the application has rewritten the path since.
    return sent if unquote_to_bytes(sent) == request.path_info.encode() else None


def _decoded(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)
