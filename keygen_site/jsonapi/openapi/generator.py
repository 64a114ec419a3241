"""Generates the OpenAPI 3.1 description."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from keygen_site.jsonapi.negotiation import JSON_API
from keygen_site.jsonapi.openapi import parameters, responses
from keygen_site.jsonapi.openapi.error_codes import error_codes
from keygen_site.jsonapi.openapi.examples import Examples
from keygen_site.jsonapi.openapi.routes import Endpoint, list_endpoints
from keygen_site.jsonapi.openapi.samples import curl_sample
from keygen_site.jsonapi.openapi.schemas import (
    LINK,
    JSONSchema,
    document_schema,
    members_schema,
    object_schema,
    or_null,
    ref,
    request_schema,
    resource_schema,
)
from keygen_site.jsonapi.operations import REFUSES, RESOURCE, Access, File, Gives
from keygen_site.jsonapi.serializers import ResourceSerializer
from keygen_site.jsonapi.text import camel
from keygen_site.jsonapi.versions import CURRENT_VERSION

# The written part of the description, in Markdown.
INTRODUCTION = Path(__file__).with_name("introduction.md")
USUAL_ACTIONS = ("list", "create", "retrieve", "partial_update", "destroy")
_EVERYWHERE = (400, 401, 403, 404, 429, 503)
_COUNTS = object_schema(
    {
        "pages": {"type": "integer", "description": "The number of pages."},
        "count": {"type": "integer", "description": "The number of resources in all pages."},
    }
)
_LINKS = object_schema(
    {
        name: or_null(LINK) | {"description": f"The URL of {page}"}
        for name, page in {
            "self": "this page.",
            "prev": "the page before, or null.",
            "next": "the next page, or null.",
            "first": "the first page.",
            "last": "the last page.",
        }.items()
    }
    | {"meta": _COUNTS | {"description": "Counts, of numbered pages only."}},
    required=["self", "next"],
) | {"description": "The URLs of the pages of a list."}
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a user, a product or a license.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A token as the user name; or `license` and the key of a license; or, to create a token, an "
        "email and a password.",
    },
    "license": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`License` and the key of a license, if its policy allows that.",
    },
    "query": {"type": "apiKey", "in": "query", "name": "token", "description": "A token."},
}
# Endpoints without an account, by the name of their view: the summary and the responses.
_SERVICE: dict[str, tuple[str, dict[str, Any]]] = {
    "ping": (
        "Check that the server responds",
        {"200": {"description": "It responds.", "content": {"text/plain": {}}}},
    ),
    "health": (
        "Check that the server can work",
        {
            "204": {"description": "The server can work."},
            "503": {"description": "The database does not respond."},
        },
    ),
}
_FILES = {
    "text/csv": "key\nKEY-000001\nKEY-000002\n",
    "application/x-ndjson": '{"key": "KEY-000001"}\n{"key": "KEY-000002"}\n',
    "text/plain": "KEY-000001\nKEY-000002\n",
}


def build(single_account: bool = False) -> dict[str, Any]:
    """The description. It leaves out a PUT that does the same as PATCH, and operations that only ever refuse.

    Args:
        single_account: whether its URLs leave out the account.
    """
    endpoints = [endpoint for endpoint in list_endpoints(single_account) if is_described(endpoint)]
    generator = Generator(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in _in_order_of_use(endpoints):
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = generator.describe(endpoint)
    specific = {error for endpoint in endpoints if endpoint.action for error in responses.errors_of(endpoint.operation)}
    sections = sorted({endpoint.section for endpoint in endpoints})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "License-key pool server",
            "version": CURRENT_VERSION,
            "description": INTRODUCTION.read_text(encoding="utf-8"),
            "contact": {"name": "The operator of this server", "url": settings.SITE_URL},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "security": [{name: []} for name in _SECURITY],
        "tags": [{"name": section.name, "description": section.description} for section in sections],
        "paths": paths,
        "x-error-codes": error_codes(),
        "components": {
            "schemas": generator.schemas,
            "parameters": parameters.COMPONENTS,
            "headers": responses.header_components(),
            "responses": responses.failure_components(specific),
            "securitySchemes": _SECURITY,
        },
    }


def is_described(endpoint: Endpoint) -> bool:
    """Whether the description has this endpoint."""
    only_refuses = endpoint.action and endpoint.operation.gives is REFUSES
    return not (endpoint.is_put_for_patch or only_refuses)


def _in_order_of_use(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The endpoints by section: those of the resource itself, then those below other resources.

    Those of a viewset begin with the usual actions; the others follow in the order in which the class declares them.
    """
    views = list(dict.fromkeys(endpoint.view for endpoint in endpoints))

    def place(endpoint: Endpoint) -> tuple[Any, ...]:
        view, action = endpoint.view, endpoint.action
        if not action:
            return endpoint.section, False, views.index(view), 0
        declared = [name for kind in view.__mro__ for name in vars(kind)]
        order = [*USUAL_ACTIONS, *declared]
        return endpoint.section, bool(view.parent), views.index(view), order.index(action)

    return sorted(endpoints, key=place)


class Generator:
    """Describes endpoints.

    Attributes:
        schemas: the components that the described endpoints refer to.
    """

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.schemas: dict[str, Any] = {"Errors": responses.ERRORS, "Links": _LINKS, **parameters.SCHEMAS}
        values: dict[str, Any] = {}
        for serializer in [endpoint.view.serializer_class for endpoint in endpoints if endpoint.action]:
            self._resource(serializer)
            values = getattr(serializer.Meta, "examples", {}) | values
        self.examples = Examples(self.schemas, {camel(name): value for name, value in values.items()})

    def describe(self, endpoint: Endpoint) -> dict[str, Any]:
        """The operation object of an endpoint."""
        if not endpoint.action:
            return _describe_service(endpoint)
        view, operation = endpoint.view, endpoint.operation
        names = ["Version", "AcceptSignature"]
        if operation.idempotent:
            names.append("IdempotencyKey")
        if endpoint.method != "GET":
            names.append("Reference")
        if isinstance(operation.gives, Gives) and operation.gives.paged:
            names += parameters.PAGES
        query = dict(operation.parameters)
        if endpoint.action == "list" and getattr(view, "filterset_class", None):
            query |= view.filterset_class.describe()
        anonymous = Access.ANONYMOUS in operation.access
        needed = view.describe_permission(operation.permission)
        description = [operation.description, f"{needed} No credential is needed." if anonymous else needed]
        described: dict[str, Any] = {
            "operationId": _operation_id(endpoint),
            "tags": [endpoint.section.name],
            "summary": _summary(endpoint),
            "description": "\n\n".join(filter(None, description)),
            "parameters": [
                *parameters.path_parameters(endpoint),
                *parameters.query_parameters(query),
                *parameters.references(*names),
            ],
            "responses": self._responses(endpoint),
        }
        document = None
        if operation.takes is not None:
            described["requestBody"] = self._body(endpoint)
            document = described["requestBody"]["content"].get(JSON_API, {}).get("example")
        if anonymous:
            described["security"] = [{}, *({name: []} for name in _SECURITY)]
        if operation.deprecated:
            described["deprecated"] = True
        described["x-codeSamples"] = [curl_sample(endpoint, described, document)]
        return described

    # Requests --------------------------------------------------------------------------------------------------------

    def _body(self, endpoint: Endpoint) -> dict[str, Any]:
        takes, serializer = endpoint.operation.takes, endpoint.view.serializer_class
        if isinstance(takes, File):
            return {"required": True, "content": _describe_file(takes)}
        if takes is RESOURCE:
            creating = endpoint.action == "create"
            name = f"{'New' if creating else 'Changed'}{_component_name(serializer)}"
            schema = request_schema(serializer, creating)
        else:
            name, schema = _operation_component(endpoint, "Request"), document_schema(takes or {})
        self.schemas[name] = schema
        example = self.examples.make(schema, request=True)
        return {"required": "required" in schema, "content": responses.content(ref("schemas", name), example=example)}

    # Responses -------------------------------------------------------------------------------------------------------

    def _responses(self, endpoint: Endpoint) -> dict[str, Any]:
        operation, statuses = endpoint.operation, set(_EVERYWHERE)
        if endpoint.action not in ("list", "retrieve"):
            statuses.add(422)
        if endpoint.method != "GET":
            statuses.add(409)
        if endpoint.method in ("POST", "PUT", "PATCH") or operation.takes is not None:
            statuses |= {408, 413}
        failed = responses.failures(
            *statuses, errors=responses.errors_of(operation), has_values=operation.takes is RESOURCE
        )
        gives = operation.gives or Gives(status=204)
        status = gives.status if isinstance(gives, Gives) else 200
        succeeded = {str(status): self._success(endpoint, gives, status)}
        if isinstance(gives, Gives) and gives.later:
            succeeded["202"] = self._success(endpoint, Gives(gives.later), 202)
        return succeeded | failed

    def _success(self, endpoint: Endpoint, gives: Gives | File, status: int) -> dict[str, Any]:
        names = ["RequestId", "Version", "Signature"]
        if status in (201, 202):
            names.append("Location")
        if endpoint.operation.idempotent:
            names.append("Replayed")
        description = "Accepted: the work is done later." if status == 202 else "Success."
        response = {"description": description, "headers": responses.headers(*names)}
        if isinstance(gives, File):
            return response | {"content": _describe_file(gives)}
        if status == 204:
            return response
        name = _shared_component(gives) or _operation_component(endpoint, "Response")
        schema = self._document(gives)
        self.schemas[name] = schema | {"examples": [self.examples.make(schema)]}
        return response | {"content": responses.content(ref("schemas", name))}

    def _document(self, gives: Gives) -> JSONSchema:
        data = self._data(gives)
        properties = {} if data is None else {"data": data | {"description": _describe_data(gives)}}
        if gives.included:
            included = {"type": "array", "items": self._resource(gives.included)}
            properties["included"] = included | {"description": "The token in use, if the credential is one."}
        if gives.meta:
            properties["meta"] = members_schema(gives.meta) | {"description": "More about the result."}
        if gives.paged:
            properties["links"] = ref("schemas", "Links")
        return object_schema(
            properties, required=[name for name in ("data", "meta") if name in properties and not gives.optional]
        )

    def _data(self, gives: Gives) -> JSONSchema | None:
        if gives.data:
            return dict(gives.data)
        resources = [self._resource(serializer) for serializer in gives.serializers]
        one = resources[0] if len(resources) == 1 else {"oneOf": resources}
        if gives.paged or gives.many:
            return {"type": "array", "items": one} if resources else {"type": "array", "maxItems": 0, "items": {}}
        if not resources:
            return None
        return or_null(one) if gives.nullable else one

    def _resource(self, serializer: type[ResourceSerializer]) -> JSONSchema:
        name = _component_name(serializer)
        if name not in self.schemas:
            self.schemas[name] = resource_schema(serializer)
        return ref("schemas", name)


def _describe_data(gives: Gives) -> str:
    if gives.paged:
        return "The resources of the page." if gives.serializers or gives.data else "Always empty."
    if gives.many:
        return "The resources."
    return "The resource, or null." if gives.nullable else "The resource."


def _describe_service(endpoint: Endpoint) -> dict[str, Any]:
    name = endpoint.view.__name__
    summary, success = _SERVICE[name]
    described: dict[str, Any] = {
        "operationId": name,
        "tags": [endpoint.section.name],
        "summary": summary,
        "description": "No credential is needed.",
        "security": [],
        "parameters": parameters.path_parameters(endpoint),
        "responses": success | responses.failures(400),
    }
    return described | {"x-codeSamples": [curl_sample(endpoint, described)]}


def _operation_id(endpoint: Endpoint) -> str:
    return f"{endpoint.name.replace('-', '_')}_{endpoint.action}"


def _summary(endpoint: Endpoint) -> str:
    """The summary with the nouns of the resource for `{a}` and `{plural}`, e.g. `a license of a product`."""
    options, parent = endpoint.view.serializer_class.Meta.model._meta, endpoint.view.parent
    of = f" of {_with_article(parent.rows.model._meta.verbose_name)}" if parent else ""
    return endpoint.operation.summary.format(
        a=f"{_with_article(options.verbose_name)}{of}", plural=f"{options.verbose_name_plural}{of}"
    )


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def _component_name(serializer: type[ResourceSerializer]) -> str:
    return serializer.Meta.model.__name__


def _operation_component(endpoint: Endpoint, kind: str) -> str:
    """The name of a document of a single operation. Generators of clients name a class by it."""
    words = f"{endpoint.name}-{endpoint.action}".replace("_", "-").split("-")
    return "".join(word.capitalize() for word in words) + kind


def _shared_component(gives: Gives) -> str:
    """The name of a response that several operations share; empty unless it has resources of one type only."""
    if len(gives.serializers) != 1 or gives.meta or gives.nullable or gives.optional or gives.included:
        return ""
    kind = "Page" if gives.paged else "List" if gives.many else "Document"
    return f"{_component_name(gives.serializers[0])}{kind}"


def _describe_file(file: File) -> dict[str, Mapping[str, Any]]:
    """A file in each of its media types."""
    shown = {media_type: {"example": _FILES[media_type]} for media_type in file.media_types if media_type in _FILES}
    return {media_type: {"schema": {"type": "string"}, **shown.get(media_type, {})} for media_type in file.media_types}
