"""The description as chapters of a page, with references resolved."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keygen_site.jsonapi.negotiation import JSON_API

# Limits of values in words. Limits of 32 bits and more are left out.
_LIMITS = {"minimum": "at least", "maximum": "at most", "maxLength": "characters at most"}
_LARGE = 2**31


def chapters(document: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The name and the entries of each group of operations: operation objects with the members of `Reader.entry`."""
    found: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = Reader(document).entry(operation)
            found[operation["tags"][0]].append({**operation, "path": path, "method": method.upper(), **entry})
    return list(found.items())


@dataclass(frozen=True)
class Reader:
    """Reads the operations of a description."""

    document: Mapping[str, Any]

    def entry(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Members for the page, added to those of the operation object.

        parameters: name, place, description and kind of each;
        takes, gives: example documents as text, or empty;
        members: pointer and kind of each member of the request document;
        responses: status and description of each response.
        """
        body = operation.get("requestBody", {}).get("content", {})
        responses = {status: self._resolve(response) for status, response in operation["responses"].items()}
        success = next((response for status, response in responses.items() if status < "300"), {})
        return {
            "parameters": [self._parameter(self._resolve(parameter)) for parameter in operation["parameters"]],
            "takes": self._example(body),
            "gives": self._example(success.get("content", {})),
            "members": list(self._members(body.get(JSON_API, {}).get("schema", {}), "")),
            "responses": [(status, response["description"]) for status, response in responses.items()],
        }

    def _resolve(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in value:
            _, *names = value["$ref"].split("/")
            value = self.document
            for name in names:
                value = value[name]
        return value

    def _parameter(self, parameter: Mapping[str, Any]) -> dict[str, str]:
        return {
            "name": parameter["name"],
            "place": parameter["in"],
            "description": parameter["description"],
            "kind": _describe_kind(self._resolve(parameter["schema"]), required=parameter.get("required", False)),
        }

    def _members(self, schema: Mapping[str, Any], pointer: str) -> Iterator[dict[str, str]]:
        schema = self._resolve(schema)
        for name, inner in schema.get("properties", {}).items():
            inner, path = self._resolve(inner), f"{pointer}/{name}"
            yield {"pointer": path, "kind": _describe_kind(inner, required=name in schema.get("required", ()))}
            yield from self._members(inner, path)
            yield from self._members(inner.get("items", {}), f"{path}/0")

    def _example(self, content: Mapping[str, Any]) -> str:
        for described in content.values():
            schema = self._resolve(described.get("schema", {}))
            for shown in [described.get("example"), *schema.get("examples", ())]:
                if shown is not None:
                    return shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
        return ""


def _describe_kind(schema: Mapping[str, Any], *, required: bool) -> str:
    """The type and the limits of a value in words."""
    if "enum" in schema:
        words = [" | ".join(json.dumps(value).strip('"') for value in schema["enum"])]
    else:
        kinds = schema.get("type", "any")
        kind = " | ".join([kinds] if isinstance(kinds, str) else kinds)
        words = [kind.replace("string", schema.get("format", "string"))]
        words += [
            f"{word} {schema[limit]}"
            for limit, word in _LIMITS.items()
            if limit in schema and abs(schema[limit]) < _LARGE
        ]
    return ", ".join([*words, *(["required"] if required else [])])
