"""What a request can say besides its document: in the address, the query and the header."""

from keygen_site.jsonapi.openapi.schemas import ref
from keygen_site.jsonapi.operations import Parameter, choice
from keygen_site.jsonapi.pagination import DEFAULT_SIZE, MAX_SIZE

_SIZE = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE}
# Generators make a class of each, so it should be one.
SCHEMAS = {"Version": choice("1.8"), "Order": choice("desc", "asc")}


def _parameter(place, name, description, schema, **more):
    return {"name": name, "in": place, "description": description, "schema": schema, **more}


COMPONENTS = {
    "Account": _parameter("path", "account", "The account, by id or slug.", {"type": "string"}, required=True),
    "Version": _parameter(
        "header",
        "Keygen-Version",
        "The version of the API that the client speaks. Earlier ones, 1.0 to 1.7, are understood too; some names of "
        "attributes differ there. Without it, the account's.",
        ref("schemas", "Version"),
    ),
    "AcceptSignature": _parameter(
        "header",
        "Keygen-Accept-Signature",
        "Which signature the answer is to have: `ed25519`, `rsa-pss-sha256`, `rsa-sha256` or `ecdsa-p256`.",
        {"type": "string", "pattern": '^algorithm="(ed25519|rsa-pss-sha256|rsa-sha256|ecdsa-p256)"$'},
        example='algorithm="ed25519"',
    ),
    "IdempotencyKey": _parameter(
        "header",
        "Idempotency-Key",
        "A name for the request. It has its effect once, however often it is sent; every other one of this name gets "
        "its answer. Kept for 24 hours at least.",
        {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        example="order-4711",
    ),
    "Reference": _parameter(
        "header",
        "Keygen-Reference",
        "What the request is for, e.g. an order number: written down in the ledger with whatever it does to keys.",
        {"type": "string", "pattern": "^[\\x21-\\x7e]([\\x20-\\x7e]{0,253}[\\x21-\\x7e])?$"},
        example="Order 4711",
    ),
    "Limit": _parameter("query", "limit", "How many at most.", _SIZE),
    "PageNumber": _parameter(
        "query",
        "page[number]",
        "Which page, from 1; `links` then lead to the others.",
        {"type": "integer", "minimum": 1},
    ),
    "PageSize": _parameter("query", "page[size]", "How many on a page.", _SIZE),
    "PageCursor": _parameter(
        "query",
        "page[cursor]",
        "What follows the row of this id, or all from the first one where it is empty. Stays right while rows come "
        "and go; not together with `page[number]`.",
        {"type": "string", "pattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"},
    ),
    "Order": _parameter("query", "order", "The newest first, or the oldest.", ref("schemas", "Order")),
}
PAGES = ("Limit", "PageNumber", "PageSize", "PageCursor", "Order")
# How rows are named in addresses where that is not by id alone.
_NAMED = {
    "users": "The user, by id or e-mail.",
    "user": "The user, by id or e-mail.",
    "products": "The product, by id or code.",
    "product": "The product, by id or code.",
    "licenses": "The license, by id or key.",
    "license": "The license, by id or key.",
}


def references(*names):
    return [ref("parameters", name) for name in names]


def of_path(endpoint):
    """The variable parts of an address."""
    found = []
    *_, before = endpoint.path.partition("{id}")[0].rstrip("/").split("/")
    for name in endpoint.parameters:
        if name == "account":
            found += references("Account")
        else:
            named = before if name == "id" else name
            singular = {"policies": "policy", "key-events": "key event"}.get(named, named.removesuffix("s"))
            description = _NAMED.get(named, f"The {singular}, by id.")
            found.append(_parameter("path", name, description, {"type": "string", "minLength": 1}, required=True))
    return found


def of_query(parameters):
    """Parameters of the query as OpenAPI writes them."""
    return [
        _parameter("query", name, parameter.description, dict(parameter.schema), **_style(parameter))
        for name, parameter in parameters.items()
    ]


def _style(parameter):
    return {"style": parameter.style, "explode": True} if parameter.style else {}


def of_filters(filterset):
    """The filters of a list, by name.

    Raises:
        KeyError: the class has a filter that its `parameters` do not describe.
    """
    if filterset is None:
        return {}
    described = {
        name: said if isinstance(said, Parameter) else Parameter(said) for name, said in filterset.parameters.items()
    }
    for name in filterset.base_filters:
        described[name]
    return described
