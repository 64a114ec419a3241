import logging
import sys

import orjson
from django.core.exceptions import ValidationError
from django.db.utils import Error, IntegrityError
from django.http import Http404, HttpResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from keygen_site.db.session_limits import is_timeout, is_unavailable
from keygen_site.jsonapi.errors import (
    DOCUMENTATION,
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
from keygen_site.jsonapi.request_documents import camel


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


logger = logging.getLogger(__name__)


def exception_handler(exception, context):
    """The one place where an exception becomes an error document; what nobody expected stays a 500."""
    request, view = context["request"], context["view"]
    errors = _errors_of(exception, view)
    if errors is None:
        return None
    set_rollback()
    first = errors[0]
    document = Document(errors=[error_object(error) for error in errors])
    if not first.early:
        document["meta"] = {"id": request.id, **first.meta}
    return Response(document, status=first.status, headers=dict(first.headers))


def _errors_of(exception, view):
    match exception:
        case DomainError():
            return [exception]
        case ValidationError():
            return validation_errors(exception, view.serializer_class)
        case Http404() | exceptions.NotFound() | exceptions.MethodNotAllowed():
            return [EndpointNotFound()]
        case Error() if refusal := refusal_of(exception):
            return [refusal]
        case IntegrityError():
            # Each rule was checked, so a row that this one needs has gone meanwhile, or its id is another account's.
            logger.warning("conflict in request %s: %s", view.request.id, type(exception.__cause__).__name__)
            return [Conflict()]
    return None


def refusal_of(error):
    """What to answer to an error of the database that is nobody's mistake, or None."""
    if is_timeout(error):
        return Busy()
    return Unavailable() if is_unavailable(error) else None


def endpoint_not_found(request, exception=None):
    """Django's `handler404`: no route fits."""
    if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/v1/"):
        return defaults.page_not_found(request, exception)
    return error_response(request, EndpointNotFound())


def bad_request(request, exception):
    """Django's `handler400`: it will not go on with a request, e.g. of another host or of thousands of parameters."""
    if request.path.startswith("/v1/"):
        return error_response(request, BadRequest())
    return defaults.bad_request(request, exception)


def internal_error(request):
    """Django's `handler500`: what nobody expected, with its traceback in the log; or a database that does not answer.

    The API's own views never get here with the latter, but pages do, and what is around a view.
    """
    error = sys.exception()
    refusal = refusal_of(error) if isinstance(error, Error) else None
    if request.path.startswith("/v1/"):
        return error_response(request, refusal or InternalError())
    if refusal:
        return HttpResponse(refusal.detail, status=refusal.status, headers=refusal.headers, content_type="text/plain")
    return defaults.server_error(request)


def validation_errors(exception, serializer):
    """A model's `ValidationError` as the errors of a document, those of equal code and source only once."""
    topic = serializer.type_name()
    attributes = {name for name, _, _ in serializer.table()}
    errors = {}
    for name, problems in exception.error_dict.items():
        # A product has both: the attribute `platforms` and a link of that name.
        related = name in serializer.relationships or name in serializer.aliases
        kind = "relationships" if related and camel(name) not in attributes else "attrs"
        if name in ("__all__", "id"):
            pointer, anchor = "/data" if name == "__all__" else "/data/id", f"{topic}-object"
        else:
            folder = "relationships" if kind == "relationships" else "attributes"
            pointer, anchor = f"/data/{folder}/{camel(name)}", f"{topic}-object-{kind}-{camel(name)}"
        prefix = serializer.Meta.model._meta.model_name if name == "__all__" else name
        for problem in problems:
            code = f"{prefix}_{_KINDS.get(problem.code, problem.code)}".upper()
            message = str(problem.message)  # those of the framework are translated late
            detail = message % problem.params if problem.params else message
            about = f"{DOCUMENTATION}/{topic}/#{anchor}"
            errors.setdefault((code, pointer), Unprocessable(detail, code=code, pointer=pointer, about=about))
    return list(errors.values())


# Django's own codes in the contract's words.
_KINDS = {
    "unique": "taken",
    "blank": "missing",
    "null": "missing",
    "invalid_choice": "not_allowed",
    "max_length": "too_long",
    "min_value": "invalid",
    "max_value": "invalid",
}
