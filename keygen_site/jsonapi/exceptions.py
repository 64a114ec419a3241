"""Exceptions as JSON:API error documents (contract: platform 4)."""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import orjson
from cachetools import TTLCache
from django.core.exceptions import DisallowedHost, ValidationError
from django.db.utils import Error, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views import csrf, defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from keygen_site.db.session_limits import is_timeout, is_unavailable
from keygen_site.jsonapi.errors import (
    DOCUMENTATION,
    OUT_OF_RANGE,
    REFERENCE,
    BadRequest,
    Busy,
    Conflict,
    DomainError,
    EndpointNotFound,
    InternalError,
    MimeTypeInvalid,
    Unavailable,
    Unprocessable,
)
from keygen_site.jsonapi.negotiation import JSON_API, Document, accepted_media_type
from keygen_site.jsonapi.serializers import ResourceSerializer
from keygen_site.jsonapi.text import camel
from keygen_site.jsonapi.versions import set_version

logger = logging.getLogger(__name__)

MAX_HOST_CHARACTERS = 255
# Hosts and origins that were logged within the last minute. Clients choose them, so only a few are kept, and logged.
_logged_hosts: TTLCache[str, None] = TTLCache(20, 60.0)
_hosts_lock = Lock()

# The contract's words for the codes of Django's validation errors.
_CODES = {
    "unique": "taken",
    "blank": "missing",
    "null": "missing",
    "invalid_choice": "not_allowed",
    "max_length": "too_long",
    "max_bytes": "too_long",
    "min_value": "invalid",
    "max_value": "invalid",
}


def error_object(error: DomainError | type[DomainError]) -> dict[str, Any]:
    """An error as a member of `errors`, without the members that it does not state (contract: platform 4.1)."""
    about = f"{REFERENCE}#{error.code}" if error.about == REFERENCE else error.about
    members = {
        "title": error.title,
        "detail": error.detail,
        "code": error.code,
        "source": error.source,
        "links": about and {"about": about},
    }
    return {name: value for name, value in members.items() if value}


def error_response(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The response to a request that no viewset handles, in the accepted media type if that is a known one."""
    try:
        media_type = accepted_media_type(request.headers.get("Accept", "").strip())
    except MimeTypeInvalid:
        media_type = JSON_API
    body = orjson.dumps({"errors": [error_object(error)]})
    content_type = f"{media_type}; charset=utf-8"
    return HttpResponse(body, status=error.status, content_type=content_type, headers=dict(error.headers))


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's `EXCEPTION_HANDLER`: the error document for an exception, or None for an unexpected one, which is a 500."""
    errors = _errors_of(exception, context["view"])
    if not errors:
        return None
    set_rollback()
    first = errors[0]
    document = Document(errors=[error_object(error) for error in errors])
    if not first.early:
        document["meta"] = {"id": context["request"].id, **first.meta}
    return Response(document, status=first.status, headers=dict(first.headers))


def _errors_of(exception: Exception, view: Any) -> list[DomainError]:
    match exception:
        case DomainError():
            return [exception, *exception.also]
        case ValidationError():
            return validation_errors(exception, view.serializer_class)
        case Http404() | exceptions.NotFound() | exceptions.MethodNotAllowed():
            return [EndpointNotFound()]
        case Error() if refusal := refusal_of(exception):
            return [refusal]
        case IntegrityError():
            # All rules were checked before: a row that this one refers to was deleted meanwhile, or the id exists in
            # another account.
            logger.warning("conflict in request %s: %s", view.request.id, type(exception.__cause__).__name__)
            return [Conflict()]
    return []


def refusal_of(error: Error) -> DomainError | None:
    """The error to show for a database that is busy or unreachable; None for any other error."""
    if is_timeout(error):
        return Busy()
    return Unavailable() if is_unavailable(error) else None


def validation_errors(exception: ValidationError, serializer: type[ResourceSerializer]) -> list[DomainError]:
    """A model's `ValidationError` as errors of a document, each code and source once."""
    resource_type = serializer.type_name()
    attributes = {name for name, _, _ in serializer.attribute_table()}
    errors: dict[tuple[str, str], DomainError] = {}
    for name, problems in exception.error_dict.items():
        # A product has both an attribute and a relationship `platforms`; the attribute counts.
        related = name in serializer.relationships or name in serializer.aliases
        folder = "relationships" if related and camel(name) not in attributes else "attributes"
        if name in ("__all__", "id"):
            pointer, anchor = "/data" if name == "__all__" else "/data/id", f"{resource_type}-object"
        elif "/" in name:  # of a nested resource, such as `components/0/fingerprint`
            relation, index, attribute = name.split("/")
            pointer = f"/data/relationships/{camel(relation)}/data/{index}/attributes/{camel(attribute)}"
            anchor = f"{resource_type}-object-relationships-{camel(relation)}"
        else:
            group = "attrs" if folder == "attributes" else folder
            pointer, anchor = f"/data/{folder}/{camel(name)}", f"{resource_type}-object-{group}-{camel(name)}"
        prefix = serializer.error_prefix() if name == "__all__" else re.sub(r"/\d+/", "_", name)
        for problem in problems:
            kind = str(problem.code)
            if kind == OUT_OF_RANGE:
                continue
            code = f"{prefix}_{_CODES.get(kind, kind)}".upper()
            message = str(problem.message)  # Django's own messages are lazy translations
            detail = message % problem.params if problem.params else message
            about = f"{DOCUMENTATION}/{serializer.about.get(name) or f'{resource_type}/#{anchor}'}"
            errors.setdefault((code, pointer), Unprocessable(detail, code=code, pointer=pointer, about=about))
    return list(errors.values()) or [BadRequest("integer is too large")]


# Django's error handlers: the request reached no view, or its view failed --------------------------------------------


def endpoint_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """`handler404`: the URL has no route."""
    if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/v1/"):
        return _error_page(defaults.page_not_found, request, exception)
    response = error_response(request, EndpointNotFound())
    set_version(request, response)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """`handler400`: Django refuses the request, e.g. for its host or for thousands of parameters."""
    if isinstance(exception, DisallowedHost):
        _log_host(request.META.get("HTTP_HOST", ""))
    if request.path.startswith("/v1/"):
        return error_response(request, BadRequest())
    return _error_page(defaults.bad_request, request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """`CSRF_FAILURE_VIEW`: a form of the console is refused with 403."""
    if reason.startswith(("Origin checking failed", "Referer checking failed")):
        _log_origin(request.META.get("HTTP_ORIGIN") or "", request.get_host())
    return csrf.csrf_failure(request, reason)


# The most frequent faults of a new proxy or name ---------------------------------------------------------------------


def _log_host(host: str) -> None:
    """Log that a host is not allowed, once a minute."""
    if _is_new(host):
        logger.warning(
            "A request for the host %r was refused with 400. If this server has that name, add it to ALLOWED_HOSTS. "
            "If a proxy sent it, let the proxy pass on the client's Host.",
            host[:MAX_HOST_CHARACTERS],
        )


def _log_origin(origin: str, host: str) -> None:
    """Log that the origin of a form is not that of the server, once a minute: its scheme or port is another."""
    if _is_new(f"{origin} {host}"):
        logger.warning(
            "A form of the console was refused with 403: the browser sent it from %r, but the request was for the "
            "host %r. If a proxy is in front, let it pass on the client's Host with its port (nginx: $http_host), set "
            "BEHIND_TLS_PROXY if it terminates TLS, or set SITE_URL to the URL that the browser shows.",
            origin[:MAX_HOST_CHARACTERS],
            host[:MAX_HOST_CHARACTERS],
        )


def _is_new(text: str) -> bool:
    """Whether a fault has not been logged within the last minute."""
    with _hosts_lock:
        if text in _logged_hosts:
            return False
        _logged_hosts[text] = None
        return True


def internal_error(request: HttpRequest) -> HttpResponseBase:
    """`handler500`: an unexpected exception, with its traceback in the log, or an unreachable database.

    The API's views handle the latter themselves; pages and middleware do not.
    """
    error = sys.exception()
    refusal = refusal_of(error) if isinstance(error, Error) else None
    if request.path.startswith("/v1/"):
        return error_response(request, refusal or InternalError())
    if refusal:
        headers = dict(refusal.headers)
        return HttpResponse(refusal.detail, status=refusal.status, headers=headers, content_type="text/plain")
    return _error_page(defaults.server_error, request)


def _error_page(view: Callable[..., HttpResponseBase], request: HttpRequest, *arguments: Any) -> HttpResponseBase:
    """Django's page for an error, without its check of the CSRF token: that reads the body, however large it is."""
    request.csrf_processing_done = True  # type: ignore[attr-defined]
    return view(request, *arguments)
