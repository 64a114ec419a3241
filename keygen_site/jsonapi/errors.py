"""Errors of the domain. Plain Python: no HTTP framework, no Django.

`keygen_site.jsonapi.exceptions.exception_handler` turns them into JSON:API error documents; the console and the
commands show the same `detail`.

A value that a *model* refuses is Django's own `ValidationError`, by field name, with the kind of failure as its code:
`ValidationError({"key": ValidationError("is reserved", code="not_allowed")})` becomes 422 `KEY_NOT_ALLOWED` at
`/data/attributes/key`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

# Where errors are explained: those of the public API in its documentation, as clients know them; those that only this
# server has on its own page, under their code.
DOCUMENTATION = "https://keygen.sh/docs/api"
REFERENCE = "/docs"
# The code of a `ValidationError` for a number that its column cannot hold: 400 instead of 422, unless others hold.
OUT_OF_RANGE = "out_of_range"


class DomainError(Exception):
    """A rule refuses a request. Subclasses name the rule and are defined next to the model that it protects.

    Attributes:
        status: the HTTP status of the response.
        title, detail, code: the members of the error object; `code` may be None.
        source: the origin of the error, one of `{"pointer": "/data/…"}`, `{"parameter": "page[size]"}`,
            `{"header": "Authorization"}`, or None.
        about: the URL of a page that explains the error, or None. `REFERENCE` stands for the entry of the code there.
        headers: response headers that belong to the error, e.g. `Retry-After`.
        meta: further members of the document's `meta`.
        also: further errors of the response, after this one.
        early: whether it is raised before the request reaches its resource; such a document has no `meta`.
    """

    status: int = 422
    title: str = "Unprocessable entity"
    detail: str = "The request could not be completed"
    code: str | None = None
    source: Mapping[str, str] | None = None
    about: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    meta: Mapping[str, Any] = MappingProxyType({})
    also: "Sequence[DomainError]" = ()
    early: bool = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        header: str | None = None,
    ) -> None:
        if detail is not None:
            self.detail = detail
        for name, value in (("pointer", pointer), ("parameter", parameter), ("header", header)):
            if value is not None:
                self.source = {name: value}
        super().__init__(self.detail)


class BadRequest(DomainError):
    """The document, the query or a header of the request is malformed (contract: keys 0.3, platform 4.2)."""

    status = 400
    title = "Bad request"


class NotFound(DomainError):
    """The resource does not exist, or the bearer may not know of it (contract: keys 0.4, platform 4.2)."""

    status = 404
    title = "Not found"
    code = "NOT_FOUND"

    @classmethod
    def of(cls, noun: str, identifier: Any) -> Self:
        """The error for a resource looked up by `identifier`, which is shown as it was sent unless it is blank."""
        shown = f"{noun} '{identifier}'" if str(identifier).strip() else noun
        return cls(f"The requested {shown} was not found")


class Conflict(DomainError):
    """A concurrent request changed a row that this one needs. This one had no effect (contract: keys 0.4)."""

    status = 409
    title = "Conflict"
    detail = "The request could not be completed because of a conflict"


class NullByte(BadRequest):
    """A text of the request contains a NUL character (contract: platform 2.3)."""

    code = "ENCODING_INVALID"
    detail = "The request could not be completed because it contains an unexpected null byte (check encoding)"


class BytesInvalid(BadRequest):
    """The path, or an email in a credential, is not UTF-8 (contract: platform 2.3)."""

    code = "ENCODING_INVALID"
    detail = "The request could not be completed because it contains an invalid byte sequence (check encoding)"


class ParametersInvalid(BadRequest):
    """The query cannot be decoded, or a parameter is both a text and an object (contract: platform 2.3)."""

    code = "PARAMETERS_INVALID"
    detail = "The request could not be completed because it contains invalid query parameters (check encoding)"
    early = True


class JSONInvalid(BadRequest):
    """The body is not JSON (contract: platform 2.3)."""

    code = "JSON_INVALID"
    detail = "The request could not be completed because it contains invalid JSON (check formatting/encoding)"
    early = True


class MimeTypeInvalid(BadRequest):
    """Accept or Content-Type names no known media type (contract: platform 2.1, 2.2; 400, not 406 or 415)."""

    code = "MIME_TYPE_INVALID"
    detail = "The mime type of the request is not acceptable (check content-type and accept headers)"
    early = True


class EndpointNotFound(NotFound):
    """The URL has no route, or its route lacks the method (contract: platform 4.2; 404, not 405)."""

    detail = "The requested endpoint was not found (check your HTTP method, Accept header, and URL path)"
    early = True


class Busy(DomainError):
    """The request waited too long for a lock. It had no effect and can be repeated."""

    status = 503
    title = "Service unavailable"
    detail = "The server is busy: another request holds a lock that this one needs. Please try again."
    code = "BUSY"
    about = REFERENCE
    headers = {"Retry-After": "1"}


class Unavailable(DomainError):
    """The database does not respond. If the connection broke during a commit, the effect is unknown."""

    status = 503
    title = "Service unavailable"
    detail = (
        "The server cannot reach its database. Please try again, with the same Idempotency-Key if the request may "
        "have had its effect."
    )
    code = "UNAVAILABLE"
    about = REFERENCE
    headers = {"Retry-After": "2"}


class InternalError(DomainError):
    """An unexpected exception; its traceback is in the log."""

    status = 500
    title = "Internal server error"
    detail = "Something went wrong on the server. Its log has the details under the id of this request."


class Unprocessable(DomainError):
    """One value that a model refuses (contract: platform 4.3)."""

    title = "Unprocessable resource"

    def __init__(self, detail: str, *, code: str, pointer: str, about: str) -> None:
        super().__init__(detail, pointer=pointer)
        self.code, self.about = code, about
