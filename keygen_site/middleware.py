"""What happens to every request before it is routed."""

import re
from urllib.parse import unquote_to_bytes

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from uuid_utils.compat import uuid7

from keygen_site.addresses import split_path
from keygen_site.errors import BadRequest, BytesInvalid, NullByte
from keygen_site.logs import request_id
from keygen_site.renderers import error_response


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


class MethodInvalid(BadRequest):
    """No method of HTTP, nor of what stands on it (contract: platform 2.3)."""

    code = "HTTP_METHOD_INVALID"
    detail = "The HTTP method for the request is not valid"


class ParametersInvalid(BadRequest):
    """A query that does not decode (contract: platform 2.3)."""

    code = "PARAMETERS_INVALID"
    detail = "The request could not be completed because it contains invalid query parameters (check encoding)"


# Methods that somebody has given a meaning. Ours are a few of them; of the others an address says that it has none.
METHODS = {
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL", "MERGE"),
    *("BIND", "UNBIND", "REBIND", "LINK", "UNLINK", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "LABEL", "UPDATE"),
    *("VERSION-CONTROL", "MKWORKSPACE", "MKACTIVITY", "BASELINE-CONTROL", "ORDERPATCH", "MKCALENDAR"),
    *("MKREDIRECTREF", "UPDATEREDIRECTREF"),
}
_HALF_ENCODED = re.compile("%(?![0-9A-Fa-f]{2})")


class WellFormedRequestMiddleware:
    """Refuses methods and addresses that are none, so that nothing behind it has to expect them."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.method not in METHODS:
            return error_response(request, MethodInvalid())
        # Django has percent-encoded the bytes of the path that do not decode once more, so they show here again.
        path, query = request.path_info, request.META.get("QUERY_STRING", "")
        if "%" in query and _HALF_ENCODED.search(query):
            return error_response(request, ParametersInvalid())
        try:
            text = (unquote_to_bytes(path) if "%" in path else path.encode()).decode() + unquote_to_bytes(
                query
            ).decode()
        except UnicodeDecodeError:
            return error_response(request, BytesInvalid())
        if "\0" in text:
            return error_response(request, NullByte())
        split_path(request)
        return self.get_response(request)


def of_pages(middleware):
    """A middleware of Django's that requests of the API go past: no cookie counts there, so none is looked at."""

    class OfPages(middleware):
        def __call__(self, request):
            if request.path_info.startswith("/v1/"):
                return self.get_response(request)
            return super().__call__(request)

    return OfPages


PageSessionMiddleware = of_pages(SessionMiddleware)
PageAuthenticationMiddleware = of_pages(AuthenticationMiddleware)
PageMessageMiddleware = of_pages(MessageMiddleware)
