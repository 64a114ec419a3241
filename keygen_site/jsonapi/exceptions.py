"""Exceptions as JSON:API error documents (contract: platform 4)."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db.utils import Error, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from keygen_site.db.session_limits import is_timeout, is_unavailable
from keygen_site.jsonapi.errors import (
    DOCUMENTATION,
    OUT_OF_RANGE,
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

# The contract's words for the codes of Django's validation errors.
_CODES = {
    "unique": "taken",
    "blank": "missing",
    "null": "missing",
    "invalid_choice": "not_allowed",
    "max_length": "too_long",
    "min_value": "invalid",
    "max_value": "invalid",
}


def error_object(error: DomainError | type[DomainError]) -> dict[str, Any]:
    """An error as a member of `errors`, without the members that it does not state (contract: platform 4.1)."""
    members = {
        "title": error.title,
        "detail": error.detail,
        "code": error.code,
        "source": error.source,
        "links": error.about and {"about": error.about},
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
        else:
            group = "attrs" if folder == "attributes" else folder
            pointer, anchor = f"/data/{folder}/{camel(name)}", f"{resource_type}-object-{group}-{camel(name)}"
        prefix = serializer.Meta.model._meta.model_name if name == "__all__" else name
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
        return defaults.page_not_found(request, exception)
    response = error_response(request, EndpointNotFound())
    set_version(request, response)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """`handler400`: Django refuses the request, e.g. for its host or for thousands of parameters."""
    if request.path.startswith("/v1/"):
        return error_response(request, BadRequest())
    return defaults.bad_request(request, exception)


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
    return defaults.server_error(request)
