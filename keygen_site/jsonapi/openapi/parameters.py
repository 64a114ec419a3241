"""Parameters of requests: in the path, the query and the headers."""

from collections.abc import Mapping
from typing import Any

from django.db import models

from keygen_site.jsonapi.openapi.routes import Endpoint
from keygen_site.jsonapi.openapi.schemas import JSONSchema, ref
from keygen_site.jsonapi.operations import Parameter, choice
from keygen_site.jsonapi.pagination import DEFAULT_SIZE, MAX_SIZE
from keygen_site.jsonapi.versions import CURRENT_VERSION

_SIZE = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE}
# Shared components: client generators create one class per component.
SCHEMAS: dict[str, Any] = {"Version": choice(CURRENT_VERSION), "Order": choice("desc", "asc")}


def _parameter(place: str, name: str, description: str, schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": schema, **more}


COMPONENTS = {
    "Account": _parameter("path", "account", "The account, by id or slug.", {"type": "string"}, required=True),
    "Version": _parameter(
        "header",
        "Keygen-Version",
        "The API version that the client speaks; by default the account's. In the earlier versions 1.0 to 1.7 some "
        "attributes have other names.",
        ref("schemas", "Version"),
    ),
    "AcceptSignature": _parameter(
        "header",
        "Keygen-Accept-Signature",
        "The algorithm of the response's signature: `ed25519`, `rsa-pss-sha256`, `rsa-sha256` or `ecdsa-p256`.",
        {"type": "string", "pattern": '^algorithm="(ed25519|rsa-pss-sha256|rsa-sha256|ecdsa-p256)"$'},
        example='algorithm="ed25519"',
    ),
    "IdempotencyKey": _parameter(
        "header",
        "Idempotency-Key",
        "A key of the client's choice, with which the request can be repeated safely: it has its effect once, and a "
        "repeated request gets the response of the first. Kept for at least 24 hours.",
        {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        example="order-4711",
    ),
    "Reference": _parameter(
        "header",
        "Keygen-Reference",
        "The caller's reference, e.g. an order number. The ledger keeps it with every change to a key. Non-ASCII "
        "characters are sent as UTF-8, as Latin-1, or percent-encoded: `UTF-8''Bestellung%20M%C3%BCller` (RFC 8187).",
        {"type": "string", "pattern": "^[\\x21-\\x7e]([\\x20-\\x7e]{0,253}[\\x21-\\x7e])?$"},
        example="Order 4711",
    ),
    "Limit": _parameter("query", "limit", "The maximum number of resources.", _SIZE),
    "PageNumber": _parameter(
        "query",
        "page[number]",
        "The number of the page, from 1. `links` has the URLs of other pages.",
        {"type": "integer", "minimum": 1},
    ),
    "PageSize": _parameter("query", "page[size]", "The number of resources on a page.", _SIZE),
    "PageCursor": _parameter(
        "query",
        "page[cursor]",
        "The id of a resource: the page starts after it; empty: at the first. Stays right while resources are added "
        "and deleted. Not together with `page[number]`.",
        {"type": "string", "pattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"},
    ),
    "Order": _parameter("query", "order", "Newest first, or oldest first.", ref("schemas", "Order")),
}
PAGES = ("Limit", "PageNumber", "PageSize", "PageCursor", "Order")


def references(*components: str) -> list[JSONSchema]:
    """References to parameters."""
    return [ref("parameters", component) for component in components]


def path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The parameters in the path of an endpoint."""
    found = []
    for name in endpoint.parameters:
        if name == "account":
            found += references("Account")
        else:
            description = _describe_identifier(name, endpoint.model_of(name))
            found.append(_parameter("path", name, description, {"type": "string", "minLength": 1}, required=True))
    return found


def _describe_identifier(name: str, model: type[models.Model] | None) -> str:
    """The description of a path parameter. `JSONAPIMeta` of a model states its identifiers, by default the id."""
    noun = model._meta.verbose_name if model else name
    return f"The {noun}, by {getattr(getattr(model, 'JSONAPIMeta', None), 'identifiers', 'id')}."


def query_parameters(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Query parameters as OpenAPI parameter objects."""
    found = []
    for name, parameter in parameters.items():
        style = {"style": parameter.style, "explode": True} if parameter.style else {}
        found.append(_parameter("query", name, parameter.description, parameter.schema, **style))
    return found
