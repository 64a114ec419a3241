"""Responses of the description: errors by status, headers and media types."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from keygen_site.jsonapi import errors
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.exceptions import error_object
from keygen_site.jsonapi.idempotency import IDEMPOTENCY_ERRORS
from keygen_site.jsonapi.negotiation import JSON, JSON_API
from keygen_site.jsonapi.openapi.error_codes import known_errors, list_errors
from keygen_site.jsonapi.openapi.examples import ID
from keygen_site.jsonapi.openapi.schemas import LINK, JSONSchema, object_schema, ref
from keygen_site.jsonapi.operations import Operation

# The code of a value that a model refuses: the name of the attribute or relationship, and the problem.
VALUE_CODE = "<NAME>_<PROBLEM>"
# The document of an error response.
ERRORS: JSONSchema = object_schema(
    {
        "meta": {
            "type": "object",
            "description": "About the request. Some errors have further members.",
            "properties": {"id": {"type": "string", "description": "The id of the request, as in `X-Request-Id`."}},
            "additionalProperties": True,
        },
        "errors": {
            "type": "array",
            "description": "The errors. Only the values of a resource can have more than one.",
            "minItems": 1,
            "items": object_schema(
                {
                    "title": {"type": "string", "description": "The kind of error."},
                    "detail": {"type": "string", "description": "What is wrong."},
                    "code": {
                        "type": "string",
                        "description": "What is wrong, for programs. Some errors have no code.",
                        "pattern": "^[A-Z0-9_]+$",
                    },
                    "source": {
                        "description": "The part of the document, the query parameter or the header with the error.",
                        "type": "object",
                        "properties": {
                            "pointer": {"type": "string", "description": "A JSON pointer into the request document."},
                            "parameter": {"type": "string", "description": "The name of a query parameter."},
                            "header": {"type": "string", "description": "The name of a header."},
                        },
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                    "links": object_schema(
                        {"about": LINK | {"description": "The URL of a page that explains the error."}}
                    )
                    | {"description": "Where to read more."},
                },
                required=["title", "detail"],
            ),
        },
    },
    required=["errors"],
) | {"description": "Why a request was refused."}


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
    408: Failure("BodyTooSlow", "The body did not arrive in time."),
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
        "The server cannot do this now. Repeat the request after `Retry-After` seconds, with its `Idempotency-Key`.",
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


def errors_of(operation: Operation) -> list[type[DomainError]]:
    """The errors of an operation in addition to those of all requests."""
    return [*operation.errors, *(IDEMPOTENCY_ERRORS if operation.idempotent else ())]


def failures(*statuses: int, errors: Iterable[type[DomainError]] = (), has_values: bool = False) -> dict[str, Any]:
    """References to responses with errors, by status.

    Args:
        errors: of this operation only, which the description then lists.
        has_values: whether values of a document can be refused, with codes made of their names.
    """
    by_status: dict[int, list[type[DomainError]]] = {status: [] for status in statuses}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {str(status): _reference(status, by_status[status], has_values) for status in sorted(by_status)}


def _reference(status: int, errors: list[type[DomainError]], has_values: bool) -> JSONSchema:
    failure = FAILURES[status]
    parts = [failure.description]
    if has_values and status == 422:
        parts.append(f"- `{VALUE_CODE}`: A value is refused, see [Errors](#errors).")
    if errors:
        parts.append(list_errors(errors))
    reference = ref("responses", failure.component)
    return reference if len(parts) == 1 else reference | {"description": f"{parts[0]}\n\n" + "\n".join(parts[1:])}


def failure_components(specific: Collection[type[DomainError]]) -> dict[str, Any]:
    """The responses with errors by component, each with the errors that any request can have.

    Args:
        specific: the errors that only some operations have.
    """
    return {failure.component: _response(status, failure, specific) for status, failure in FAILURES.items()}


def _response(status: int, failure: Failure, specific: Collection[type[DomainError]]) -> dict[str, Any]:
    of_status = [error for error in known_errors() if error.status == status]
    common = [error for error in of_status if error not in specific]
    shown = [*map(error_object, failure.examples)]
    shown += [error_object(error) for error in of_status if "detail" in vars(error)]
    examples = {
        f"{number} {error.get('code', error['detail'])}": {"value": {"meta": {"id": ID}, "errors": [error]}}
        for number, error in enumerate(shown, 1)
    }
    described = content(ref("schemas", "Errors"), **({"examples": examples} if examples else {}))
    return {
        "description": "\n\n".join(filter(None, [failure.description, list_errors(common)])),
        "headers": headers("RequestId", *(["RetryAfter"] if status in (429, 503) else [])),
        "content": described,
    }
