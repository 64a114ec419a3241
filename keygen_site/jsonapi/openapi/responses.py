"""What the description says of answers: errors by their status, headers, media types."""

from keygen_site.jsonapi import errors, idempotency, negotiation
from keygen_site.jsonapi.exceptions import error_object
from keygen_site.jsonapi.negotiation import JSON, JSON_API
from keygen_site.jsonapi.openapi.examples import ID
from keygen_site.jsonapi.openapi.schemas import objects, ref

MEDIA_TYPES = (JSON_API, JSON)

# A document with errors, never with data.
ERRORS = objects(
    {
        "meta": {
            "type": "object",
            "properties": {"id": {"type": "string", "description": "The request's, as in `X-Request-Id`."}},
            "additionalProperties": True,
        },
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": objects(
                {
                    "title": {"type": "string"},
                    "detail": {"type": "string"},
                    "code": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
                    "source": {
                        "description": "Where the trouble is: in the document, the query or the header.",
                        "type": "object",
                        "properties": dict.fromkeys(("pointer", "parameter", "header"), {"type": "string"}),
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                    "links": objects({"about": {"type": "string", "format": "uri"}}),
                },
                required=["title", "detail"],
            ),
        },
    },
    required=["errors"],
)

_UNAUTHORIZED = {
    "title": "Unauthorized",
    "detail": "You must be authenticated to complete the request",
    "code": "TOKEN_MISSING",
}
_FORBIDDEN = {
    "title": "Access denied",
    "detail": "You do not have permission to complete the request (read only lacks permission to perform action)",
}
_TAKEN = {
    "title": "Unprocessable resource",
    "detail": "must be unique",
    "code": "KEY_TAKEN",
    "source": {"pointer": "/data/attributes/key"},
    "links": {"about": f"{errors.DOCUMENTATION}/keys/#keys-object-attrs-key"},
}
_EMPTY = {
    "title": "Unprocessable entity",
    "detail": "pool is empty",
    "source": {"pointer": "/data/relationships/pool"},
}
_TOO_MANY = {
    "title": "Too many requests",
    "detail": "RateLimit limit has been reached for your IP address. Please slow down.",
    "code": "TOO_MANY_REQUESTS",
}

# Status: name of the component, what it means, examples of its errors.
FAILURES = {
    400: (
        "BadRequest",
        "The request is malformed: its document, its query, a header or its media types.",
        [
            error_object(errors.BadRequest("is missing", pointer="/data")),
            error_object(errors.BadRequest("unpermitted parameter", pointer="/data/attributes/size")),
            *(error_object(kind()) for kind in (errors.JSONInvalid, errors.MimeTypeInvalid, errors.NullByte)),
        ],
    ),
    401: ("Unauthorized", "The credential is missing or no good.", [_UNAUTHORIZED]),
    403: ("Forbidden", "In sight of whoever asks, but not for them.", [_FORBIDDEN]),
    404: (
        "NotFound",
        "There is no such thing, or whoever asks may not know of it.",
        [error_object(errors.NotFound.of("key", ID)), error_object(errors.EndpointNotFound())],
    ),
    409: (
        "Conflict",
        "Something changed in the middle of the request; nothing has happened.",
        [error_object(errors.Conflict()), error_object(idempotency.IdempotencyKeyInUse())],
    ),
    413: ("TooLarge", "The body is too large.", [error_object(negotiation.DocumentTooLarge())]),
    422: (
        "Unprocessable",
        "A rule says no: each value that is refused, or why the action is.",
        [_TAKEN, _EMPTY, error_object(idempotency.IdempotencyKeyReused())],
    ),
    429: ("TooManyRequests", "Too many attempts; the headers say when to try again.", [_TOO_MANY]),
    503: (
        "Unavailable",
        "What is needed is held by another request for too long, and nothing has happened; or the database does not "
        "answer, and nobody knows. Ask again, under the same `Idempotency-Key`.",
        [error_object(errors.Busy()), error_object(errors.Unavailable())],
    ),
}

HEADERS = {
    "RequestId": ("X-Request-Id", "The id of the request.", {"type": "string", "format": "uuid"}),
    "Version": ("Keygen-Version", "The version of the API that the answer is of.", {"type": "string"}),
    "Signature": (
        "Keygen-Signature",
        "The signature of the answer by a key of the account, see `Keygen-Accept-Signature`.",
        {"type": "string"},
    ),
    "Location": ("Location", "The address of what was made.", {"type": "string"}),
    "Replayed": (
        "Idempotency-Replayed",
        "That the answer is a stored one.",
        {"type": "string", "enum": ["true"]},
    ),
    "RetryAfter": ("Retry-After", "In how many seconds to try again.", {"type": "string"}),
}


def content(schema, example=None):
    """A document in all its media types; an example is the same in all of them."""
    documents = {media_type: {"schema": schema} for media_type in MEDIA_TYPES}
    if example is not None:
        documents[JSON_API]["example"] = example
    return documents


def headers(*names):
    """References to the headers of these components."""
    return {HEADERS[name][0]: ref("headers", name) for name in names}


def header_components():
    return {name: {"description": description, "schema": schema} for name, (_, description, schema) in HEADERS.items()}


def failure_components():
    """The answers with errors, by name."""
    return {name: _failure(status, description, shown) for status, (name, description, shown) in FAILURES.items()}


def _failure(status, description, shown):
    examples = {}
    for number, error in enumerate(shown):
        name = error.get("code", error["detail"].partition(" (")[0])
        examples[f"{number + 1} {name}"] = {"value": {"meta": {"id": ID}, "errors": [error]}}
    names = ["RequestId"] + (["RetryAfter"] if status in (429, 503) else [])
    body = content(ref("schemas", "Errors"))
    body[JSON_API]["examples"] = examples
    return {"description": description, "headers": headers(*names), "content": body}


def failures(*statuses):
    """References to answers with errors, by status as OpenAPI writes it."""
    return {str(status): ref("responses", FAILURES[status][0]) for status in sorted(statuses)}
