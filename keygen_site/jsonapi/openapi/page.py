"""The values for the template of the /docs page, with references resolved and Markdown rendered."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.safestring import SafeString
from django.utils.text import slugify

from keygen_site.jsonapi.negotiation import JSON_API
from keygen_site.jsonapi.openapi.markdown import render, render_line, render_with_headings

# Limits of values in words. Limits of 32 bits and more are left out.
_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "characters at least",
    "maxLength": "characters at most",
}
_LARGE = 2**31


@dataclass(frozen=True)
class Member:
    """A member of a document, or a parameter.

    Attributes:
        name: its pointer or its name.
        kind: its type and limits in words.
        description: in HTML.
        required: whether it must be sent.
        place: of a parameter: `path`, `query` or `header`.
        id: the anchor of the row; empty for none.
        link: the anchor of the description of its members; empty for none.
    """

    name: str
    kind: str
    description: SafeString
    required: bool = False
    place: str = ""
    id: str = ""
    link: str = ""


def page_context(document: Mapping[str, Any]) -> dict[str, Any]:
    """The context of the template `reference.html`."""
    reader = Reader(document)
    introduction, headings = render_with_headings(document["info"]["description"])
    return {
        "info": document["info"],
        "introduction": introduction,
        "headings": headings,
        "chapters": reader.chapters(),
        "resources": reader.resources(),
        "error_codes": [
            {**each, "description": render_line(each["description"])} for each in document["x-error-codes"]
        ],
    }


@dataclass(frozen=True)
class Reader:
    """Reads a description."""

    document: Mapping[str, Any]

    def chapters(self) -> list[dict[str, Any]]:
        """The name, id, description and entries of each tag."""
        entries: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in self.document["tags"]}
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                entry = {**operation, "path": path, "method": method.upper(), **self._entry(operation)}
                entries[operation["tags"][0]].append(entry)
        return [
            {
                "name": tag["name"],
                "id": slugify(tag["name"]),
                "description": render(tag["description"]),
                "entries": entries[tag["name"]],
            }
            for tag in self.document["tags"]
        ]

    def resources(self) -> list[dict[str, Any]]:
        """The id, name, description and members of each kind of resource object."""
        return [
            {
                "id": anchor,
                "name": anchor.removesuffix("-object").replace("-", " "),
                "description": render(schema["description"]),
                "attributes": list(self._rows(schema["properties"]["attributes"], f"{anchor}-attrs")),
                "relationships": list(self._rows(schema["properties"]["relationships"], f"{anchor}-relationships")),
            }
            for schema in self.document["components"]["schemas"].values()
            if (anchor := _anchor_of(schema))
        ]

    def _rows(self, schema: Mapping[str, Any], prefix: str) -> Iterator[Member]:
        for name, inner in schema.get("properties", {}).items():
            described = self._resolve(inner)
            kind = _describe_kind(described) if prefix.endswith("attrs") else ""
            yield Member(name, kind, render_line(_description(inner, described)), id=f"{prefix}-{name}")
            if prefix.endswith("attrs"):
                yield from self._members(described, name)

    def _entry(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """The context of an operation on the page, in addition to the members of the operation object."""
        body = operation.get("requestBody", {}).get("content", {})
        responses = {
            status: {**self._resolve(response), **response} for status, response in operation["responses"].items()
        }
        success = next((response for status, response in responses.items() if status < "300"), {})
        return {
            "description": render(operation["description"]),
            "curl": operation["x-codeSamples"][0]["source"],
            "parameters": [self._parameter(self._resolve(parameter)) for parameter in operation["parameters"]],
            "media_types": [] if JSON_API in body else list(body),
            "sends": list(self._members(body.get(JSON_API, {}).get("schema", {}), "")),
            "returns": [
                replace(member, required=False)
                for member in self._members(success.get("content", {}).get(JSON_API, {}).get("schema", {}), "")
            ],
            "example": self._example(success.get("content", {})),
            "responses": [(status, render(response["description"])) for status, response in responses.items()],
        }

    def _resolve(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in value:
            _, *names = value["$ref"].split("/")
            value = self.document
            for name in names:
                value = value[name]
        return value

    def _parameter(self, parameter: Mapping[str, Any]) -> Member:
        return Member(
            name=parameter["name"],
            kind=_describe_kind(self._resolve(parameter["schema"])),
            description=render_line(parameter["description"]),
            required=parameter.get("required", False),
            place=parameter["in"],
        )

    def _members(self, schema: Mapping[str, Any], pointer: str) -> Iterator[Member]:
        """The members of a document in order, each with its pointer. Those of resource objects have their own place."""
        schema = self._resolve(schema)
        for name, inner in schema.get("properties", {}).items():
            described, path = self._resolve(inner), f"{pointer}/{name}"
            items = self._resolve(described.get("items", {}))
            link = _anchor_of(self._one_of(described)) or _anchor_of(self._one_of(items))
            yield Member(
                name=path,
                kind=_describe_kind(described),
                description=render_line(_description(inner, described)),
                required=name in schema.get("required", ()),
                link=link,
            )
            if not link:
                yield from self._members(described, path)
                yield from self._members(items, f"{path}/0")

    def _one_of(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema, or the first of its alternatives."""
        return self._resolve(schema["oneOf"][0]) if "oneOf" in schema else schema

    def _example(self, content: Mapping[str, Any]) -> str:
        for described in content.values():
            schema = self._resolve(described.get("schema", {}))
            for shown in [described.get("example"), *schema.get("examples", ())]:
                if shown is not None:
                    return shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
        return ""


def _anchor_of(schema: Mapping[str, Any]) -> str:
    """The anchor of the resource objects that a schema describes, e.g. `keys-object`; empty for another schema."""
    properties = schema.get("properties", {})
    if not properties.keys() >= {"id", "type", "attributes", "relationships"} or "links" not in properties:
        return ""
    return f"{properties['type']['enum'][0]}-object"


def _description(*schemas: Mapping[str, Any]) -> str:
    return next((schema["description"] for schema in schemas if "description" in schema), "")


def _describe_kind(schema: Mapping[str, Any]) -> str:
    """The type and the limits of a value in words."""
    if "enum" in schema:
        return " | ".join(json.dumps(value).strip('"') for value in schema["enum"])
    kinds = schema.get("type", "object")
    kind = " | ".join([kinds] if isinstance(kinds, str) else kinds)
    words = [kind.replace("string", schema.get("format", "string"))]
    for limit, word in _LIMITS.items():
        if limit in schema and abs(schema[limit]) < _LARGE and (limit, schema[limit]) != ("minLength", 1):
            number = schema[limit]
            words.append(f"{number} {word}" if "Length" in limit else f"{word} {number}")
    return ", ".join(words)
