"""The description as chapters for the page: what a reader wants of each operation, references followed."""

import json
from dataclasses import dataclass

from keygen_site.jsonapi.negotiation import JSON_API


@dataclass(frozen=True)
class Entry:
    """One operation on the page.

    Attributes:
        id, method, path, summary, description, deprecated: as in the description.
        parameters: name, place, description and what each may be, in words.
        takes, gives: example documents as text, or empty.
        members: of the document that it takes: pointer and what each may be, in words.
        answers: status and description of each answer.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    deprecated: bool
    parameters: list[dict[str, str]]
    takes: str
    gives: str
    members: list[dict[str, str]]
    answers: list[tuple[str, str]]


def chapters(document):
    """(name, entries) of each group of operations."""
    found: dict[str, list[Entry]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_entry(document, path, method.upper(), operation))
    return list(found.items())


def _entry(document, path, method, operation):
    body = operation.get("requestBody", {}).get("content", {})
    answers = {status: _followed(document, answer) for status, answer in operation["responses"].items()}
    success = next((answer for status, answer in answers.items() if status < "300"), {})
    return Entry(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        deprecated=operation.get("deprecated", False),
        parameters=[_parameter(document, _followed(document, parameter)) for parameter in operation["parameters"]],
        takes=_example(document, body),
        gives=_example(document, success.get("content", {})),
        members=list(_members(document, body.get(JSON_API, {}).get("schema", {}), "")),
        answers=[(status, answer["description"]) for status, answer in answers.items()],
    )


def _followed(document, value):
    while "$ref" in value:
        _, *names = value["$ref"].split("/")
        value = document
        for name in names:
            value = value[name]
    return value


def _parameter(document, parameter):
    required = "required" if parameter.get("required") else ""
    words = {"name": parameter["name"], "place": parameter["in"], "description": parameter["description"]}
    return words | {"kind": ", ".join(filter(None, [_kind(_followed(document, parameter["schema"])), required]))}


def _kind(schema):
    """What a value may be, in words."""
    if "enum" in schema:
        return " | ".join(json.dumps(value).strip('"') for value in schema["enum"])
    kinds = schema.get("type", "any")
    kind = " | ".join([kinds] if isinstance(kinds, str) else kinds)
    if "format" in schema:
        kind = kind.replace("string", schema["format"])
    limits = [
        f"{words} {schema[keyword]}"
        for keyword, words in (("minimum", "at least"), ("maximum", "at most"), ("maxLength", "characters at most"))
        if keyword in schema and abs(schema[keyword]) < 2**31
    ]
    return ", ".join([kind, *limits])


def _members(document, schema, pointer):
    schema = _followed(document, schema)
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        inner = _followed(document, inner)
        words = [_kind(inner), "required" if name in required else ""]
        yield {"pointer": f"{pointer}/{name}", "kind": ", ".join(filter(None, words))}
        yield from _members(document, inner, f"{pointer}/{name}")
        if "items" in inner:
            yield from _members(document, inner["items"], f"{pointer}/{name}/0")


def _example(document, content):
    for described in content.values():
        shown = described.get("example")
        if shown is None:
            shown = _followed(document, described.get("schema", {})).get("examples", [None])[0]
        if shown is not None:
            return shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
    return ""
