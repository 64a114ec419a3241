"""Generates the OpenAPI 3.1 description."""

from collections.abc import Mapping
from typing import Any

from keygen_site.jsonapi.openapi import parameters, responses
from keygen_site.jsonapi.openapi.examples import Examples
from keygen_site.jsonapi.openapi.routes import Endpoint, list_endpoints
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

INTRODUCTION = """\
Hands out license keys made beforehand, each exactly once. The keys are in pools, one for each pooled policy.
Documents are JSON:API. Members may be sent in camelCase, snake_case or kebab-case. A document has at most 1 MiB.
Send a credential as `Authorization`.
Responses about an account are signed. Every response has the id of its request as `X-Request-Id`."""
_EVERYWHERE = (400, 401, 403, 404, 429, 503)
_LINKS = object_schema(
    {name: or_null(LINK) for name in ("self", "prev", "next", "first", "last")}
    | {"meta": object_schema({"pages": {"type": "integer"}, "count": {"type": "integer"}})},
    required=["self", "next"],
)
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
        "e-mail and a password.",
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
    """The description.

    Args:
        single_account: whether its URLs leave out the account.
    """
    endpoints = list_endpoints(single_account)
    generator = Generator(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = generator.describe(endpoint)
    tags = sorted({operation["tags"][0] for path in paths.values() for operation in path.values()})
    return {
        "openapi": "3.1.0",
        "info": {"title": "License-key pool server", "version": CURRENT_VERSION, "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": generator.schemas,
            "parameters": parameters.COMPONENTS,
            "headers": responses.header_components(),
            "responses": responses.failure_components(),
            "securitySchemes": _SECURITY,
        },
    }


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
        description = [operation.description, view.describe_permission(operation.permission)]
        described: dict[str, Any] = {
            "operationId": _operation_id(endpoint),
            "tags": [view.serializer_class.type_name()],
            "summary": _summary(endpoint),
            "description": " ".join(filter(None, [*description, "No credential is needed." if anonymous else ""])),
            "parameters": [
                *parameters.path_parameters(endpoint),
                *parameters.query_parameters(query),
                *parameters.references(*names),
            ],
            "responses": self._responses(endpoint),
        }
        if operation.takes is not None:
            described["requestBody"] = self._body(endpoint)
        if anonymous:
            described["security"] = [{}, *({name: []} for name in _SECURITY)]
        if operation.deprecated:
            described["deprecated"] = True
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
            statuses.add(413)
        failed = responses.failures(*statuses)
        if operation.gives is REFUSES:
            return failed
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
        properties = {} if data is None else {"data": data}
        if gives.included:
            properties["included"] = {"type": "array", "items": self._resource(gives.included)}
        if gives.meta:
            properties["meta"] = members_schema(gives.meta)
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


def _describe_service(endpoint: Endpoint) -> dict[str, Any]:
    name = endpoint.view.__name__
    summary, success = _SERVICE[name]
    return {
        "operationId": name,
        "tags": ["service"],
        "summary": summary,
        "security": [],
        "parameters": parameters.path_parameters(endpoint),
        "responses": success | responses.failures(400),
    }


def _operation_id(endpoint: Endpoint) -> str:
    name = f"{endpoint.name.replace('-', '_')}_{endpoint.action}"
    return f"{name}_by_put" if endpoint.is_put_for_patch else name


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
