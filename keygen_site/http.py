"""What happens to every request before it is routed."""

import json
import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from keygen_site.jsonapi.errors import BadRequest, BytesInvalid, NullByte
from keygen_site.jsonapi.exceptions import error_response
from keygen_site.observability.request_context import METHODS
from keygen_site.paths import split_path


class MethodInvalid(BadRequest):
    """No method of HTTP, nor of what stands on it (contract: platform 2.3)."""

    code = "HTTP_METHOD_INVALID"
    detail = "The HTTP method for the request is not valid"


class ParametersInvalid(BadRequest):
    """A query that does not decode (contract: platform 2.3)."""

    code = "PARAMETERS_INVALID"
    detail = "The request could not be completed because it contains invalid query parameters (check encoding)"


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


def skip_for_api(middleware):
    """A middleware of Django's that requests of the API go past: no cookie counts there, so none is looked at."""

    class OfPages(middleware):
        def __call__(self, request):
            if request.path_info.startswith("/v1/"):
                return self.get_response(request)
            return super().__call__(request)

    return OfPages


PageSessionMiddleware = skip_for_api(SessionMiddleware)
PageAuthenticationMiddleware = skip_for_api(AuthenticationMiddleware)
PageMessageMiddleware = skip_for_api(MessageMiddleware)


# What a script of another site may read of an answer (contract: platform 3.5).
EXPOSED = (
    "keygen-accept-signature, keygen-signature, keygen-date, keygen-digest, keygen-account-id, keygen-bearer-id, "
    "keygen-token-id, keygen-account, keygen-bearer, keygen-token, keygen-environment, keygen-license, "
    "keygen-edition, keygen-mode, keygen-revision, keygen-version, x-ratelimit-window, x-ratelimit-count, "
    "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id, x-signature, date, digest"
)


CORS_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"


API_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; report-uri /-/csp-reports; report-to csp-reports;",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}


class APIHeadersMiddleware:
    """What every answer of the API says to browsers, and that scripts of any site may use it (platform 3.3, 3.5).

    No cookie counts in the API: a site can do no more than whom its credential belongs to.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not request.path_info.startswith("/v1/"):
            return self.get_response(request)
        # `request.headers` would be made for this alone.
        sent = request.META
        asks_first = request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in sent
        response = HttpResponse() if asks_first else self.get_response(request)
        for name, value in API_HEADERS.items():
            response[name] = value
        response["Report-To"] = report_to(request.get_host())
        if "HTTP_ORIGIN" in sent:
            response["Access-Control-Allow-Origin"] = "*"
            response["Access-Control-Allow-Methods"] = CORS_METHODS
            response["Access-Control-Expose-Headers"] = EXPOSED
            response["Access-Control-Max-Age"] = "86400"
            if wanted := sent.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
                response["Access-Control-Allow-Headers"] = wanted
        patch_vary_headers(response, ["Origin"])
        return response


# Everything that a page of ours needs comes from ourselves: no inline script or style, no other site.
PAGE_POLICY = "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"


class PageHeadersMiddleware:
    """What every page tells the browser: to run nothing that did not come from this server."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            response.headers.setdefault("Referrer-Policy", "same-origin")
        return response


@lru_cache
def report_to(host):
    """The header that names where a browser may report what the content security policy has kept out."""
    endpoint = f"https://{host}/-/csp-reports"
    group = {"group": "csp-reports", "max_age": 10_886_400, "endpoints": [{"url": endpoint}]}
    return json.dumps(group, separators=(",", ":"))
