"""Middleware for all requests: well-formed requests, security headers, CORS."""

import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from keygen_site.jsonapi.errors import BadRequest, BytesInvalid, NullByte, ParametersInvalid
from keygen_site.jsonapi.exceptions import error_response
from keygen_site.observability.health import ProbeMiddleware
from keygen_site.observability.request_context import HTTP_METHODS
from keygen_site.paths import API_PREFIX, is_utf8, merge_leading_slashes, set_route_path

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class MethodInvalid(BadRequest):
    """The method is not a registered HTTP method (contract: platform 2.3)."""

    code = "HTTP_METHOD_INVALID"
    detail = "The HTTP method for the request is not valid"


_TOO_MANY = "The request could not be completed because it contains too many query parameters"
_HALF_ENCODED = re.compile("%(?![0-9A-Fa-f]{2})")


class WellFormedRequestMiddleware:
    """Refuses unknown methods, lower-case ones too, and malformed URLs, so that no later code has to expect them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # As it was sent: Django would take `delete` for DELETE, but a rule of a proxy for DELETE does not.
        if request.META["REQUEST_METHOD"] not in HTTP_METHODS:
            return error_response(request, MethodInvalid())
        path, query = request.path_info, request.META.get("QUERY_STRING", "")
        # Django would refuse it later, with a traceback in the log.
        if query.count("&") >= (settings.DATA_UPLOAD_MAX_NUMBER_FIELDS or math.inf):
            return error_response(request, ParametersInvalid(_TOO_MANY))
        if "%" in query and _HALF_ENCODED.search(query):
            return error_response(request, ParametersInvalid())
        try:
            has_null = "\0" in unquote_to_bytes(query).decode()
        except UnicodeDecodeError:
            return error_response(request, ParametersInvalid())
        if "%" in path and not is_utf8(request):
            return error_response(request, BytesInvalid())
        if has_null or ("\0" in path and not path.startswith(API_PREFIX)):
            return error_response(request, NullByte())
        if request.encoding is not None:
            request.encoding = "utf-8"  # Django would decode the query in the charset that is declared for the body
        set_route_path(request)
        return self.get_response(request)


def skip_for_api(middleware: Any) -> Any:
    """Make a subclass of a middleware that API requests bypass; the API does not use the cookies of pages."""

    class SkippedForAPI(middleware):
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            if request.path_info.startswith(API_PREFIX):
                return self.get_response(request)
            return super().__call__(request)

    return SkippedForAPI


PageSessionMiddleware = skip_for_api(SessionMiddleware)
PageAuthenticationMiddleware = skip_for_api(AuthenticationMiddleware)
PageMessageMiddleware = skip_for_api(MessageMiddleware)


class KeepMethodMiddleware:
    """Lets the redirect from http to https keep the method and the body: 308 instead of Django's 301."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponsePermanentRedirect):
            response.status_code = 308
        return response


# The response headers that a script of another site may read (contract: platform 3.5).
EXPOSED_HEADERS = (
    "keygen-accept-signature, keygen-signature, keygen-date, keygen-digest, keygen-account-id, keygen-bearer-id, "
    "keygen-token-id, keygen-account, keygen-bearer, keygen-token, keygen-environment, keygen-license, "
    "keygen-edition, keygen-mode, keygen-revision, keygen-version, x-ratelimit-window, x-ratelimit-count, "
    "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id, x-signature, date, digest"
)


CORS_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


API_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; report-uri /-/csp-reports; report-to csp-reports;",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}


class APIHeadersMiddleware:
    """Security headers of API responses, and CORS for every origin (contract: platform 3.3, 3.5).

    CORS may allow every origin because the API ignores cookies, so that a page can act only with a credential that it
    has. The exception are the cookies of pages of SESSION_ORIGINS (contract: security 2.1).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        merge_leading_slashes(request)
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        meta = request.META  # `request.headers` would be built for this alone
        is_preflight = request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in meta
        response = HttpResponse() if is_preflight else self.get_response(request)
        if is_preflight:
            del response["Content-Type"]  # it has no body
        for name, value in API_HEADERS.items():
            response[name] = value
        try:
            response["Report-To"] = build_report_to(request.get_host())
        except DisallowedHost:
            if request.path_info not in ProbeMiddleware.PATHS:  # a probe may name any host
                raise
        if "HTTP_ORIGIN" in meta:
            may_send_cookie = meta["HTTP_ORIGIN"] in settings.SESSION_ORIGINS
            response["Access-Control-Allow-Origin"] = meta["HTTP_ORIGIN"] if may_send_cookie else "*"
            if may_send_cookie:
                response["Access-Control-Allow-Credentials"] = "true"
            response["Access-Control-Allow-Methods"] = CORS_METHODS
            response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            response["Access-Control-Max-Age"] = "86400"
            if wanted := meta.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
                response["Access-Control-Allow-Headers"] = wanted
        patch_vary_headers(response, ["Origin"])
        return response


# Pages load nothing from other sites, and have no inline script or style.
PAGE_POLICY = "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"


class PageHeadersMiddleware:
    """Sets the content security policy of HTML pages, unless a page has its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            response.headers.setdefault("Referrer-Policy", "same-origin")
        return response


@lru_cache
def build_report_to(host: str) -> str:
    """The header Report-To: the URL to which browsers report violations of the content security policy."""
    endpoint = f"https://{host}/-/csp-reports"
    group = {"group": "csp-reports", "max_age": 10_886_400, "endpoints": [{"url": endpoint}]}
    return json.dumps(group, separators=(",", ":"))
