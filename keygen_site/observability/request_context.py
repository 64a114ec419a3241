"""The id and the route of a request, for logs and metrics."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from uuid_utils.compat import uuid7

from keygen_site.jsonapi.openapi.routes import template_of


class RequestIdMiddleware:
    """Gives every request an id: `X-Request-Id`, `meta.id` of an error document, and in log lines."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        id = str(uuid7())
        request.id = id  # type: ignore[attr-defined]
        token = request_id.set(id)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-Id"] = id
        return response


# Registered HTTP methods (IANA). Any other is 400 HTTP_METHOD_INVALID; a registered one that a route lacks is 404.
HTTP_METHODS = {
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL", "MERGE"),
    *("BIND", "UNBIND", "REBIND", "LINK", "UNLINK", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "LABEL", "UPDATE"),
    *("VERSION-CONTROL", "MKWORKSPACE", "MKACTIVITY", "BASELINE-CONTROL", "ORDERPATCH", "MKCALENDAR"),
    *("MKREDIRECTREF", "UPDATEREDIRECTREF"),
}


# The id of the request that this thread serves.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


NO_ROUTE = "(none)"


def route_of(request: Any) -> str:
    """The route of a request as a URL template of OpenAPI: `/v1/accounts/{account}/keys/{id}`."""
    match = getattr(request, "resolver_match", None)
    return _template(match.route) if match else NO_ROUTE


@cache
def _template(route: str) -> str:
    return "/" + template_of(route.replace("^", ""))
