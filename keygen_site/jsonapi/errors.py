"""What the domain says when it refuses. Plain Python: no HTTP framework, no Django.

One handler, `keygen_site.jsonapi.exceptions.exception_handler`, turns these into JSON:API error documents; the
console and the commands show the same `detail`.

A value that a *model* refuses is Django's own `ValidationError`, by field name, with the kind of
failure as its code: `ValidationError({"key": ValidationError("is reserved", code="not_allowed")})`
is answered 422 `KEY_NOT_ALLOWED` at `/data/attributes/key`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DOCUMENTATION = "https://keygen.sh/docs/api"  # where errors are explained


class DomainError(Exception):
    """A rule that said no. Subclasses name the rule and stand beside what they protect.

    Attributes:
        status: the HTTP status that a REST client sees.
        title, detail, code: the members of the error object; `code` may be None.
        source: where the trouble is, one of `{"pointer": "/data/…"}`, `{"parameter": "page[size]"}`,
            `{"header": "Authorization"}`, or None.
        about: address of a page that explains the error, or None.
        headers: response headers that belong to the error, e.g. `Retry-After`.
        meta: more about it, for the `meta` of the document.
        early: whether it is raised before the request reaches its resource; such a document has no `meta`.
    """

    status = 422
    title = "Unprocessable entity"
    detail = "The request could not be completed"
    code: str | None = None
    source: dict[str, str] | None = None
    about: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    meta: Mapping[str, Any] = MappingProxyType({})
    early = False

    def __init__(self, detail=None, *, pointer=None, parameter=None, header=None):
        if detail is not None:
            self.detail = detail
        for name, value in (("pointer", pointer), ("parameter", parameter), ("header", header)):
            if value is not None:
                self.source = {name: value}
        super().__init__(self.detail)


class BadRequest(DomainError):
    """The request itself is malformed: its document, its query or a header (contract: keys 0.3, platform 4.2)."""

    status = 400
    title = "Bad request"


class NotFound(DomainError):
    """There is no such thing, or the bearer may not know of it (contract: keys 0.4, platform 4.2)."""

    status = 404
    title = "Not found"
    code = "NOT_FOUND"

    @classmethod
    def of(cls, noun, identifier):
        """The error for a record looked up by `identifier`, shown as it was sent."""
        return cls(f"The requested {noun} '{identifier}' was not found")


class Conflict(DomainError):
    """Something changed in the middle of the request; nothing has happened (contract: keys 0.4)."""

    status = 409
    title = "Conflict"
    detail = "The request could not be completed because of a conflict"


class NullByte(BadRequest):
    """A NUL, which no text here may hold: PostgreSQL cannot store it (contract: platform 2.3)."""

    code = "ENCODING_INVALID"
    detail = "The request could not be completed because it contains an unexpected null byte (check encoding)"


class BytesInvalid(BadRequest):
    """The path or the query is not UTF-8 (contract: platform 2.3)."""

    code = "ENCODING_INVALID"
    detail = "The request could not be completed because it contains an invalid byte sequence (check encoding)"


class JSONInvalid(BadRequest):
    """The body is no JSON (contract: platform 2.3)."""

    code = "JSON_INVALID"
    detail = "The request could not be completed because it contains invalid JSON (check formatting/encoding)"
    early = True


class MimeTypeInvalid(BadRequest):
    """Neither a known Accept nor a known Content-Type (contract: platform 2.1, 2.2; 400, not 406 or 415)."""

    code = "MIME_TYPE_INVALID"
    detail = "The mime type of the request is not acceptable (check content-type and accept headers)"
    early = True


class EndpointNotFound(NotFound):
    """No such route, or no such method on it (contract: platform 4.2; 404, not 405)."""

    detail = "The requested endpoint was not found (check your HTTP method, Accept header, and URL path)"
    early = True


class Busy(DomainError):
    """What is needed is held by another transaction for too long; nothing has happened, so try again."""

    status = 503
    title = "Service unavailable"
    detail = "The server is busy: what this request needs is held by another one. Please try again."
    code = "BUSY"
    headers = {"Retry-After": "1"}


class Unavailable(DomainError):
    """The database does not answer. Where it fell silent in the middle, nobody knows what has happened."""

    status = 503
    title = "Service unavailable"
    detail = (
        "The server cannot reach its database. Please try again: what may have had its effect already, under the same "
        "Idempotency-Key."
    )
    code = "UNAVAILABLE"
    headers = {"Retry-After": "2"}


class InternalError(DomainError):
    status = 500
    title = "Internal server error"
    detail = "Something went wrong on this server. Its operator finds what happened in its log, under the request's id."


class Unprocessable(DomainError):
    """One value that a model refuses (contract: platform 4.3)."""

    title = "Unprocessable resource"

    def __init__(self, detail, *, code, pointer, about):
        super().__init__(detail, pointer=pointer)
        self.code, self.about = code, about
