"""Responses of the description: errors by status, headers and media types."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from keygen_site.jsonapi import errors
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.exceptions import error_object
from keygen_site.jsonapi.negotiation import JSON, JSON_API
from keygen_site.jsonapi.openapi.examples import ID
from keygen_site.jsonapi.openapi.schemas import JSONSchema, object_schema, ref

# The document of an error response.
ERRORS = object_schema(
    {
        "meta": {
            "type": "object",
            "properties": {"id": {"type": "string", "description": "The id of the request, as in `X-Request-Id`."}},
            "additionalProperties": True,
        },
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": object_schema(
                {
                    "title": {"type": "string"},
                    "detail": {"type": "string"},
                    "code": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
                    "source": {
                        "description": "The part of the document, the query parameter or the header with the error.",
                        "type": "object",
                        "properties": dict.fromkeys(("pointer", "parameter", "header"), {"type": "string"}),
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                    "links": object_schema({"about": {"type": "string", "format": "uri"}}),
                },
                required=["title", "detail"],
            ),
        },
    },
    required=["errors"],
)


class Failure(NamedTuple):
    """An error response: its component, its description, and examples in addition to the errors with a code."""

    component: str
    description: str
    examples: tuple[DomainError, ...] = ()


FAILURES = {
    400: Failure(
        "BadRequest",
        "The document, the query, a header or a media type of the request is malformed.",
        (errors.BadRequest("is missing", pointer="/data"),),
    ),
    401: Failure("Unauthorized", "The credential is missing or invalid."),
    403: Failure("Forbidden", "The bearer may not do this, or not to this resource."),
    404: Failure(
        "NotFound", "The resource does not exist, or the bearer may not see it.", (errors.NotFound.of("key", ID),)
    ),
    409: Failure("Conflict", "Another request got in the way; this one had no effect.", (errors.Conflict(),)),
    413: Failure("TooLarge", "The body is too large."),
    422: Failure(
        "Unprocessable",
        "A rule refuses the action, or values of the document, each of which has an error.",
        (
            errors.Unprocessable(
                "has already been taken",
                code="KEY_TAKEN",
                pointer="/data/attributes/key",
                about=f"{errors.DOCUMENTATION}/keys/#keys-object-attrs-key",
            ),
        ),
    ),
    429: Failure("TooManyRequests", "A rate limit is reached; the headers say when to try again."),
    503: Failure(
        "Unavailable",
        "`BUSY`: the request waited too long for another one and had no effect. `UNAVAILABLE`: the database does not "
        "respond, and the effect is unknown. Repeat the request with the same `Idempotency-Key`.",
    ),
}

# Component: the header, its description and schema.
HEADERS: dict[str, tuple[str, str, JSONSchema]] = {
    "RequestId": ("X-Request-Id", "The id of the request.", {"type": "string", "format": "uuid"}),
    "Version": ("Keygen-Version", "The API version of the response.", {"type": "string"}),
    "Signature": (
        "Keygen-Signature",
        "The signature of the response by a key of the account, see `Keygen-Accept-Signature`.",
        {"type": "string"},
    ),
    "Location": ("Location", "The URL of the new resource.", {"type": "string"}),
    "Replayed": (
        "Idempotency-Replayed",
        "Present if this is the stored response of an earlier request.",
        {"type": "string", "enum": ["true"]},
    ),
    "RetryAfter": ("Retry-After", "The seconds to wait before the next attempt.", {"type": "string"}),
}


def content(schema: JSONSchema, **more: Any) -> dict[str, Any]:
    """A document in each of its media types.

    Args:
        more: `example` or `examples`, of the first media type only: they are the same in all.
    """
    return {JSON_API: {"schema": schema, **more}, JSON: {"schema": schema}}


def headers(*components: str) -> dict[str, Any]:
    """References to headers."""
    return {HEADERS[component][0]: ref("headers", component) for component in components}


def header_components() -> dict[str, Any]:
    """The headers by component."""
    return {name: {"description": description, "schema": schema} for name, (_, description, schema) in HEADERS.items()}


def failures(*statuses: int) -> dict[str, Any]:
    """References to responses with errors, by status."""
    return {str(status): ref("responses", FAILURES[status].component) for status in sorted(statuses)}


def failure_components() -> dict[str, Any]:
    """The responses with errors by component."""
    return {failure.component: _response(status, failure) for status, failure in FAILURES.items()}


def _response(status: int, failure: Failure) -> dict[str, Any]:
    known = [
        kind for kind in _subclasses_of(DomainError) if kind.status == status and kind.code and "detail" in vars(kind)
    ]
    shown = [*map(error_object, failure.examples), *map(error_object, known)]
    examples = {
        f"{number} {error.get('code', error['detail'])}": {"value": {"meta": {"id": ID}, "errors": [error]}}
        for number, error in enumerate(shown, 1)
    }
    return {
        "description": failure.description,
        "headers": headers("RequestId", *(["RetryAfter"] if status in (429, 503) else [])),
        "content": content(ref("schemas", "Errors"), examples=examples),
    }


def _subclasses_of(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _subclasses_of(kind)
