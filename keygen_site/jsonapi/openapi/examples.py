"""Examples of documents, made from their schemas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keygen_site.jsonapi.text import snake

ID = "01a20866-333d-73e7-b6c6-6d3a7c07d222"
TIME = "2026-01-02T20:26:53.464Z"
_BY_FORMAT = {"uuid": ID, "date-time": TIME, "uri-reference": f"/v1/accounts/{ID}"}
_PYTHON_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict}


@dataclass(frozen=True)
class Examples:
    """Makes examples.

    Attributes:
        schemas: the components of the description, for references.
        values: values by the name of a member, for schemas without an example.
    """

    schemas: Mapping[str, Any]
    values: Mapping[str, Any]

    def make(self, schema: Mapping[str, Any], *, name: str = "", request: bool = False) -> Any:
        """A value that a schema allows.

        Args:
            name: of the member.
            request: whether the value is part of a request: then optional members without an example are left out.
        """
        if "examples" in schema:
            return schema["examples"][0]
        if "$ref" in schema:
            return self.make(self.schemas[schema["$ref"].rpartition("/")[2]], name=name, request=request)
        if "oneOf" in schema:
            return self.make(schema["oneOf"][0], name=name, request=request)
        kinds = schema.get("type", "string")
        kind = kinds if isinstance(kinds, str) else kinds[0]
        if kind == "object" and "properties" in schema:
            return self._object(schema, request)
        if kind == "array":
            return [self.make(schema["items"], name=name, request=request)] if schema.get("maxItems") != 0 else []
        value = self.values.get(name)
        if isinstance(value, _PYTHON_TYPES.get(kind, ())) and value in schema.get("enum", [value]):
            return value
        return schema["enum"][0] if "enum" in schema else _default_value(kind, schema, name)

    def _object(self, schema: Mapping[str, Any], request: bool) -> dict[str, Any]:
        properties = schema["properties"]
        names = list(properties)
        if request:
            needed = {"attributes", *schema.get("required", ())}
            names = [name for name in names if name in needed or "examples" in properties[name]] or names[:1]
        found = {name: self.make(properties[name], name=name, request=request) for name in names}
        if found.keys() >= {"type", "id"} and "self" in found.get("links", ()):
            found["links"]["self"] = f"/v1/accounts/{ID}/{found['type']}/{found['id']}"
        return found


def _default_value(kind: str, schema: Mapping[str, Any], name: str) -> Any:
    match kind:
        case "boolean":
            return False
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "null":
            return None
        case "object":
            return {}
    return _BY_FORMAT.get(schema.get("format", ""), snake(name).replace("_", " ") or "text")
