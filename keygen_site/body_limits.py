"""Limits on the bodies of requests, enforced before any code reads a body or writes it to the disk.

Documents and forms are small. Only actions and pages that take files accept more. A page accepts it only from an
operator who has its permission; an action of the API checks that itself before it reads the body.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from keygen_site.jsonapi.errors import REFERENCE, DomainError
from keygen_site.jsonapi.exceptions import error_response
from keygen_site.jsonapi.negotiation import MAX_DOCUMENT_BYTES, DocumentTooLarge
from keygen_site.jsonapi.operations import File
from keygen_site.paths import API_PREFIX
from keygen_site.request_bodies import BODY_PROBLEM, Limits

View = TypeVar("View", bound=Callable[..., Any])

# A form has fields besides its file.
FORM_BYTES = MAX_DOCUMENT_BYTES


class BodyTooSlow(DomainError):
    """The body did not arrive in time. The request had no effect."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "Request timeout"
    detail = f"The body of the request did not arrive within {Limits().body_seconds:.0f} seconds. Please try again."
    code = "BODY_TOO_SLOW"
    about = REFERENCE
    early = True


class TooManyBodies(DomainError):
    """The server is busy with other large requests. The request had no effect.

    The memory for bodies is full, or too many transfers wait.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Service unavailable"
    detail = "The server is busy with other large requests. Please try again."
    code = "BUSY"
    about = REFERENCE
    headers = {"Retry-After": "5"}
    early = True


_PROBLEMS: dict[int, type[DomainError]] = {
    error.status: error for error in (BodyTooSlow, DocumentTooLarge, TooManyBodies)
}


def takes_files(permission: str) -> Callable[[View], View]:
    """Decorate a page whose form may have a file, if the operator has a permission."""

    def mark(view: View) -> View:
        view.takes_files_with = permission  # type: ignore[attr-defined]
        return view

    return mark


class BodyLimitMiddleware:
    """Refuses bodies that are too large for their view or have not arrived. Runs before any reader of bodies."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if problem := request.META.get(BODY_PROBLEM):
            return refuse(request, _PROBLEMS[problem]())
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponseBase | None:
        length = request.META.get("CONTENT_LENGTH") or ""
        if not length.isdigit() or int(length) <= MAX_DOCUMENT_BYTES:  # without a length it is limited where it is read
            return None
        limit = max_bytes(request, view)
        if limit is not None and int(length) > limit:
            return refuse(request, DocumentTooLarge(f"The body of the request is too large (maximum is {limit} bytes)"))
        return None


def max_bytes(request: HttpRequest, view: Any) -> int | None:
    """The maximum size of a request's body in bytes, by its view and its sender; None if the view limits it itself."""
    action = getattr(view, "actions", {}).get((request.method or "").lower())
    if action and action in view.cls.operations and isinstance(view.cls.operations[action].takes, File):
        return None
    permission = getattr(view, "takes_files_with", None)
    if permission and admin.site.may_send_files(request, permission):  # type: ignore[attr-defined]
        return settings.MAX_IMPORT_BYTES + FORM_BYTES
    return MAX_DOCUMENT_BYTES


def refuse(request: HttpRequest, error: DomainError) -> HttpResponseBase:
    """An error document, or a page for a browser."""
    if request.path.startswith(API_PREFIX) or "text/html" not in request.headers.get("Accept", ""):
        return error_response(request, error)
    response = render(request, "body_refused.html", {"error": error}, status=error.status)
    for name, value in error.headers.items():
        response[name] = value
    return response
