"""The description of the API, assembled: OpenAPI 3.1."""

from functools import cache, partial

from keygen_site.jsonapi.openapi import parameters, responses
from keygen_site.jsonapi.openapi.examples import example
from keygen_site.jsonapi.openapi.routes import endpoints
from keygen_site.jsonapi.openapi.schemas import (
    LINK,
    objects,
    of_member,
    of_members,
    of_request,
    of_resource,
    or_null,
    ref,
)
from keygen_site.jsonapi.operations import File, Operation
from keygen_site.jsonapi.request_documents import camel
from keygen_site.jsonapi.serializers import ResourceSerializer

INTRODUCTION = """\
Hands out license keys that were made beforehand, each one exactly once. The keys wait in pools, one for each pooled
policy. Documents are JSON:API; member names may be written in camelCase, snake_case or kebab-case.
A credential goes into `Authorization`. A document has at most 1 MiB, and may come in chunks.
Every answer about an account is signed, and has the id of its request in `X-Request-Id`."""
_EVERYWHERE = (400, 401, 403, 404, 429, 503)
_LINKS = objects(
    {name: or_null(LINK) for name in ("self", "prev", "next", "first", "last")}
    | {"meta": objects({"pages": {"type": "integer"}, "count": {"type": "integer"}})},
    required=["self", "next"],
)
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of a user, product or license.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A token as the user name; `license` and a license's key; where one makes a token also an "
        "e-mail and a password.",
    },
    "license": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`License` and the key, where the license's policy allows it.",
    },
    "query": {"type": "apiKey", "in": "query", "name": "token", "description": "A token."},
}


def build(single_account=False):
    """The description, ready to be written as JSON.

    Args:
        single_account: whether addresses leave the account out.
    """
    found = endpoints(single_account)  # this loads what the rest is about
    schemas = {"Errors": responses.ERRORS, "Links": _LINKS, **parameters.SCHEMAS} | {
        _name(serializer): of_resource(serializer) for serializer in _serializers().values()
    }
    paths = {}
    for endpoint in found:
        described = _service(endpoint) if not endpoint.action else _described(endpoint, schemas)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = described
    tags = sorted({operation["tags"][0] for path in paths.values() for operation in path.values()})
    return {
        "openapi": "3.1.0",
        "info": {"title": "License-key pool server", "version": "1.8", "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters.COMPONENTS,
            "headers": responses.header_components(),
            "responses": responses.failure_components(),
            "securitySchemes": _SECURITY,
        },
    }


@cache
def _serializers():
    """The serializers by the type of their resources."""
    found, waiting = {}, [ResourceSerializer]
    while waiting:
        serializer = waiting.pop()
        waiting += serializer.__subclasses__()
        if hasattr(serializer, "Meta"):
            found[serializer.type_name()] = serializer
    return dict(sorted(found.items()))


def _name(serializer):
    return serializer.Meta.model.__name__


def _service(endpoint):
    """What is answered without an account: it is plain text, or nothing."""
    name = endpoint.view.__name__
    summary, success = {
        "ping": ("Say that somebody is there", {"200": {"description": "Yes.", "content": {"text/plain": {}}}}),
        "health": (
            "Say whether the server can do its work",
            {"204": {"description": "Yes."}, "503": {"description": "No: the database does not answer."}},
        ),
    }[name]
    return {
        "operationId": name,
        "tags": ["service"],
        "summary": summary,
        "security": [],
        "parameters": parameters.of_path(endpoint),
        "responses": success | responses.failures(400),
    }


def _described(endpoint, schemas):
    view, action = endpoint.view, endpoint.action
    operation = view.operations.get(action) or _usual(endpoint)
    safe = endpoint.method == "GET"
    names = ["Version", "AcceptSignature"]
    if (endpoint.method == "POST" or action in view.once_by_name) and action not in view.secret_answers:
        names.append("IdempotencyKey")
    if not safe:
        names.append("Reference")
    if operation.paged:
        names += parameters.PAGES
    query = parameters.of_filters(getattr(view, "filterset_class", None) if action == "list" else None) | dict(
        operation.parameters
    )
    described = {
        "operationId": _id(endpoint),
        "tags": [view.serializer_class.type_name()],
        "summary": operation.summary,
        "description": " ".join(filter(None, [operation.description, view.who_may(action)])),
        "parameters": [
            *parameters.of_path(endpoint),
            *parameters.of_query(query),
            *parameters.references(*names),
        ],
        "responses": _responses(endpoint, operation, schemas),
    }
    if operation.takes:
        described["requestBody"] = _body(endpoint, operation, schemas)
    if action in view.anonymous:
        described["security"] = [{}, *({name: []} for name in _SECURITY)]
    if operation.deprecated:
        described["deprecated"] = True
    return {name: value for name, value in described.items() if value != ""}


def _id(endpoint):
    name = f"{endpoint.name.replace('-', '_')}_{endpoint.action}"
    # PUT is another word for PATCH, and every operation has an id of its own.
    both = endpoint.method == "PUT" and endpoint.action not in ("regenerate", "regenerate_current")
    return f"{name}_by_put" if both else name


def _component(endpoint, kind):
    """The name of a document that only one operation has: generators name classes by it."""
    words = f"{endpoint.name}-{endpoint.action}".replace("_", "-").split("-")
    return "".join(word.capitalize() for word in words) + kind


def _usual(endpoint):
    """What one of the usual actions takes and gives.

    Raises:
        KeyError: it is none of them, and its viewset does not say.
    """
    serializer = endpoint.view.serializer_class
    type = serializer.type_name()
    noun = str(serializer.Meta.model._meta.verbose_name)
    plural = type.replace("-", " ")
    below = [name for name in endpoint.parameters if name not in ("account", "id")]
    of = f" of a {'pool' if '/pool' in endpoint.path else below[0]}" if below else ""
    a = f"{'an' if noun[0] in 'aeio' else 'a'} {noun}{of}"
    operations = {
        "list": partial(Operation, f"List {plural}{of}", "The newest first.", gives=type, paged=True),
        "retrieve": partial(Operation, f"Show {a}", gives=type),
        "create": partial(Operation, f"Make {a}", gives=type, status=201),
        "partial_update": partial(Operation, f"Change {a}", "What is not in the document stays as it is.", gives=type),
        "destroy": partial(Operation, f"Delete {a}", status=204),
    }
    operation = operations[endpoint.action]
    if endpoint.action in ("create", "partial_update"):
        return operation(takes=serializer.schema(endpoint.action == "create"))
    return operation()


def _body(endpoint, operation, schemas):
    if isinstance(operation.takes, File):
        return {"required": True, "content": {name: _file(name) for name in operation.takes.media_types}}
    serializer = endpoint.view.serializer_class
    if endpoint.action in endpoint.view.operations:
        name = _component(endpoint, "Request")
        schema, required = of_members(operation.takes)
    else:
        creating = endpoint.action == "create"
        name = f"{'New' if creating else 'Changed'}{_name(serializer)}"
        schema, required = of_request(serializer, creating)
    schemas[name] = schema
    return {
        "required": required,
        "content": responses.content(ref("schemas", name), example(schema, schemas, request=True)),
    }


def _file(media_type):
    """A body that is a file; keys as each media type has them."""
    example = {
        "text/csv": "key\nKEY-000001\nKEY-000002\n",
        "application/x-ndjson": '{"key": "KEY-000001"}\n{"key": "KEY-000002"}\n',
        "text/plain": "KEY-000001\nKEY-000002\n",
    }
    shown = {"example": example[media_type]} if media_type in example else {}
    return {"schema": {"type": "string"}} | shown


def _responses(endpoint, operation, schemas):
    statuses = set(_EVERYWHERE)
    if endpoint.method != "GET":
        statuses |= {409, 422}
    if endpoint.action in endpoint.view.operations and endpoint.method == "GET":
        statuses.add(422)
    if endpoint.method in ("POST", "PUT", "PATCH") or operation.takes:
        statuses.add(413)
    failed = responses.failures(*statuses)
    if operation.status is None:
        return failed
    return {str(operation.status): _success(endpoint, operation, schemas)} | failed


def _success(endpoint, operation, schemas):
    names = ["RequestId", "Version", "Signature"]
    if operation.status == 201:
        names.append("Location")
    if (endpoint.method == "POST" or endpoint.action in endpoint.view.once_by_name) and (
        endpoint.action not in endpoint.view.secret_answers
    ):
        names.append("Replayed")
    response = {"description": f"{operation.summary}: done.", "headers": responses.headers(*names)}
    if isinstance(operation.gives, File):
        return response | {"content": {name: _file(name) for name in operation.gives.media_types}}
    if operation.status == 204:
        return response
    schema = _answer(operation)
    if isinstance(operation.gives, str) and operation.gives and not (operation.meta or operation.nullable):
        kind = "Page" if operation.paged else "List" if operation.many else "Document"
        name = f"{_name(_serializers()[operation.gives])}{kind}"
    else:
        name = _component(endpoint, "Answer")
    schemas[name] = schema | {"examples": [example(schema, schemas)]}
    return response | {"content": responses.content(ref("schemas", name))}


def _answer(operation):
    """The document of success."""
    properties, required = {}, []
    data = _data(operation)
    if data:
        properties["data"] = data
        required += [] if operation.optional else ["data"]
    if operation.included:
        included = ref("schemas", _name(_serializers()[operation.included]))
        properties["included"] = {"type": "array", "items": included}
    if operation.meta:
        meta = {camel(name): of_member(member) for name, member in operation.meta.items()}
        always = [camel(name) for name, member in operation.meta.items() if member.required]
        properties["meta"] = objects(meta, required=always)
        required += [] if operation.optional else ["meta"]
    if operation.paged:
        properties["links"] = ref("schemas", "Links")
    return objects(properties, required=required)


def _data(operation):
    if operation.data:
        return operation.data
    types = [operation.gives] if isinstance(operation.gives, str) and operation.gives else list(operation.gives)
    each = [ref("schemas", _name(_serializers()[type])) for type in types]
    data = each[0] if len(each) == 1 else {"oneOf": each}
    if operation.paged or operation.many:
        return {"type": "array", "items": data} if each else {"type": "array", "maxItems": 0, "items": {}}
    if not each:
        return None
    return or_null(data) if operation.nullable else data
