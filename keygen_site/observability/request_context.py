from contextvars import ContextVar
from functools import cache

from uuid_utils.compat import uuid7

from keygen_site.jsonapi.openapi.routes import template_of


class RequestIdMiddleware:
    """Gives every request an id of its own: header `X-Request-Id`, `meta.id` of an error document, lines of the log."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.id = str(uuid7())
        told = request_id.set(request.id)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(told)
        response["X-Request-Id"] = request.id
        return response


# Methods that somebody has given a meaning. Ours are a few of them; of the others an address says that it has none.
METHODS = {
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL", "MERGE"),
    *("BIND", "UNBIND", "REBIND", "LINK", "UNLINK", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "LABEL", "UPDATE"),
    *("VERSION-CONTROL", "MKWORKSPACE", "MKACTIVITY", "BASELINE-CONTROL", "ORDERPATCH", "MKCALENDAR"),
    *("MKREDIRECTREF", "UPDATEREDIRECTREF"),
}


# The id of the request that this thread answers.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


NO_ROUTE = "(none)"


def route_of(request):
    """The route that answers a request, as OpenAPI writes it: `/v1/accounts/{account}/keys/{id}`."""
    match = getattr(request, "resolver_match", None)
    return _template(match.route) if match else NO_ROUTE


@cache
def _template(route):
    return "/" + template_of(route.replace("^", ""))
