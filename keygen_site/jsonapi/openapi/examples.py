"""Examples of documents, made from their schemas."""

ID = "01a20866-333d-73e7-b6c6-6d3a7c07d222"
MOMENT = "2026-01-02T20:26:53.464Z"
# Values that say more than the first one that a schema allows.
_BY_NAME = {
    "key": "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3",
    "name": "Rocket",
    "email": "ann@acme.test",
    "slug": "acme",
    "apiVersion": "1.8",
    "reference": "Order 4711",
    "count": 10,
    "ttl": 86400,
    "duration": 31536000,
    "url": "https://acme.test",
    "token": "admin-8a3f…",
    "metadata": {"order": "4711"},
    "version": "1.0.0",
    "status": "ACTIVE",
    "fullName": "Ann Example",
    "firstName": "Ann",
    "lastName": "Example",
    "password": "correct horse battery staple",
    "oldPassword": "correct horse battery staple",
    "newPassword": "battery staple correct horse",
    "kind": "admin-token",
    "detail": "is valid",
    "code": "VALID",
}
# What a request need not have, and is clearer with.
_SHOWN = ("attributes", "name", "usePool")


def example(schema, components, name="", request=False):
    """A value that the schema allows; of a request only what it must have, and a few more."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rpartition("/")[2]], components, name, request)
    for alternatives in ("oneOf", "anyOf"):
        if alternatives in schema:
            return example(schema[alternatives][0], components, name, request)
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object" and "properties" in schema:
        return _members(schema, components, request)
    if kind == "array":
        return [example(schema["items"], components, name, request)] if schema.get("maxItems") != 0 else []
    if "enum" in schema:
        return True if name == "usePool" else schema["enum"][0]
    if name in _BY_NAME and isinstance(_BY_NAME[name], _PYTHON.get(kind, object)):
        return _BY_NAME[name]
    return _plain(kind, schema)


_PYTHON = {"string": str, "integer": int, "object": dict}


def _members(schema, components, request):
    properties, required = schema["properties"], schema.get("required", [])
    names = [name for name in properties if not request or name in required or name in _SHOWN]
    if request and not names:
        names = list(properties)[:1]
    shown = {name: example(properties[name], components, name, request) for name in names}
    if shown.keys() >= {"type", "id"} and "self" in shown.get("links", ()):
        shown["links"]["self"] = f"/v1/accounts/{ID}/{shown['type']}/{shown['id']}"
    return shown


def _plain(kind, schema):
    match kind:
        case "boolean":
            return False
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "null":
            return None
        case "object":
            return {}
    return {"uuid": ID, "date-time": MOMENT, "uri-reference": f"/v1/accounts/{ID}"}.get(schema.get("format"), "text")
