"""JSON Schemas of request documents and resource objects, from the declarations that the API itself reads."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from rest_framework import serializers

from keygen_site.jsonapi.openapi.docstrings import first_paragraph
from keygen_site.jsonapi.request_documents import Members, Schema
from keygen_site.jsonapi.serializers import Relationship, ResourceSerializer
from keygen_site.jsonapi.text import camel, snake
from keygen_site.jsonapi.types import OBJECT, UUID_SCHEMA, type_of_field

JSONSchema = dict[str, Any]

LINK: JSONSchema = {"type": "string", "format": "uri-reference"}
_RELATED: JSONSchema = {"related": LINK | {"description": "The URL of the related resource or list."}}

# The keywords for a value that must not be empty, by the name of its type.
_NOT_BLANK: dict[str, JSONSchema] = {
    "object": {"minProperties": 1},
    "array": {"minItems": 1},
    "string": {"minLength": 1, "pattern": r"\S"},
}
# Options of serializer fields, and the keywords of JSON Schema.
_LIMITS = {"max_length": "maxLength", "min_value": "minimum", "max_value": "maximum"}


def ref(kind: str, name: str) -> JSONSchema:
    """A reference to a component of the description."""
    return {"$ref": f"#/components/{kind}/{name}"}


def object_schema(properties: Mapping[str, Any], *, required: Iterable[str] | None = None) -> JSONSchema:
    """The schema of an object with these properties, all of them required by default."""
    names = list(properties if required is None else required)
    return {"type": "object", "properties": dict(properties)} | ({"required": names} if names else {})


def or_null(schema: Mapping[str, Any]) -> JSONSchema:
    """The schema, or null."""
    if "type" not in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    nullable = {**schema, "type": [schema["type"], "null"]}
    return nullable | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def linkage_schema(*resource_types: str) -> JSONSchema:
    """The schema of a relationship to a resource of one of some types, with a link."""
    return object_schema(
        {
            "links": object_schema(_RELATED) | {"description": "The URL of the related resource."},
            "data": _identifier_schema(*resource_types),
        }
    )


def _identifier_schema(*resource_types: str) -> JSONSchema:
    members = {
        "type": {"type": "string", "enum": list(resource_types), "description": "The type of the related resource."},
        "id": UUID_SCHEMA | {"description": "The id of the related resource."},
    }
    return object_schema(members) | {"description": "The type and id of the related resource."}


# Request documents ---------------------------------------------------------------------------------------------------


def members_schema(members: Members) -> JSONSchema:
    """The schema of an object with members of a document."""
    properties = {camel(name): member_schema(member) for name, member in members.items()}
    return object_schema(properties, required=[camel(name) for name, member in members.items() if member.required])


def member_schema(member: Schema) -> JSONSchema:
    """The schema of a member of a document."""
    if member.members is not None:
        schema = document_schema(member.members)
    else:
        schema = dict(member.type.schema)
        if member.items is not None:
            schema["items"] = member_schema(member.items)
            if member.max_items is not None:
                schema["maxItems"] = member.max_items
        if member.one_of:
            # Of several spellings the first: generators of clients make one name of `second-factor` and `secondFactor`.
            schema["enum"] = list({snake(value): value for value in reversed(member.one_of)}.values())[::-1]
        elif not member.blank:
            schema |= _NOT_BLANK.get(member.type.name, {})
    schema = or_null(schema) if member.nullable else schema
    return schema | ({"description": member.description} if member.description else {})


def document_schema(members: Members) -> JSONSchema:
    """The schema of a request document, or of an object in it: it permits no other members."""
    return members_schema(members) | {"additionalProperties": False}


def request_schema(serializer: type[ResourceSerializer], creating: bool) -> JSONSchema:
    """The schema of the document that creates or changes a row, with the limits of the model's fields."""
    schema = document_schema(serializer.schema(creating))
    attributes = schema["properties"]["data"]["properties"]["attributes"]["properties"]
    for earlier in getattr(serializer, "renamed_attributes", ()):
        attributes.pop(camel(earlier.name), None)
    for name, each in serializer.declared_fields().items():
        if camel(name) in attributes:
            attributes[camel(name)] |= _limits(each) | _example(serializer, name)
    return schema


def _example(serializer: type[ResourceSerializer], name: str) -> JSONSchema:
    examples = getattr(serializer.Meta, "examples", {})
    return {"examples": [examples[name]]} if name in examples else {}


def _limits(each: serializers.Field) -> JSONSchema:
    limits = {
        keyword: getattr(each, option) for option, keyword in _LIMITS.items() if getattr(each, option, None) is not None
    }
    if choices := _choices(each):
        limits["enum"] = [*choices, None] if each.allow_null else choices
    return limits


def _choices(each: serializers.Field) -> list[Any]:
    return [value for value in getattr(each, "choices", ()) if value not in ("", None)]


# Resource objects ----------------------------------------------------------------------------------------------------


def resource_schema(serializer: type[ResourceSerializer]) -> JSONSchema:
    """The schema of the resource objects of a serializer."""
    model = serializer.Meta.model
    attributes = {
        camel(name): _attribute_schema(each, model)
        | _description(serializer.describe(name))
        | _example(serializer, name)
        for name, each in serializer.declared_fields().items()
        if not each.write_only
    }
    relationships = {
        camel(name): _relationship_schema(name, relationship, model)
        for name, relationship in serializer.relationships.items()
    }
    members: dict[str, JSONSchema] = {
        "id": UUID_SCHEMA | {"description": "The id of the resource."},
        "type": {"type": "string", "enum": [serializer.type_name()], "description": "The resource type."},
        "links": object_schema({"self": LINK | {"description": "The URL of the resource."}}),
        "attributes": object_schema(attributes) | {"description": "The values of the resource."},
        "relationships": object_schema(relationships) | {"description": "The related resources."},
    }
    serializer.extend_schema(members)
    members["links"].setdefault("description", "The URLs of the resource.")
    return object_schema(members) | {"description": first_paragraph(serializer)}


def _description(text: str) -> JSONSchema:
    return {"description": text} if text else {}


def _attribute_schema(each: serializers.Field, model: type[models.Model]) -> JSONSchema:
    column = _column(each.source, model)
    if isinstance(each, serializers.ReadOnlyField) and column is not None:
        # It has no type of its own: use that of the column.
        kind, options = serializers.ModelSerializer().build_standard_field(column.name, column)
        each = kind(**{name: value for name, value in options.items() if name != "model_field"})
    schema = dict(type_of_field(each).schema)
    if isinstance(each, serializers.ListField):
        schema["items"] = dict(type_of_field(each.child).schema)
    if choices := _choices(each):
        schema["enum"] = choices
    return or_null(schema) if each.allow_null or (column is not None and column.null) else schema


def _relationship_schema(name: str, relationship: Relationship, model: type[models.Model]) -> JSONSchema:
    members = {"links": object_schema(_RELATED) | {"description": "The URL of the related resource or list."}}
    if relationship.type:
        column = _column(relationship.source, model)
        may_be_empty = column is None or column.null
        data = _identifier_schema(relationship.type)
        if relationship.source is None:
            data = {"type": "null", "description": "Always null."}
        members["data"] = or_null(data) if may_be_empty and relationship.source else data
        if relationship.direct and may_be_empty:
            members["links"]["properties"] = {"related": or_null(_RELATED["related"])}
    if relationship.meta:
        members["meta"] = {**OBJECT.schema, "description": "Numbers about the related resources."}
    noun = model._meta.verbose_name
    return object_schema(members) | {
        "description": relationship.description or f"The {name.replace('_', ' ')} of the {noun}."
    }


def _column(source: str | None, model: type[models.Model]) -> "models.Field[Any, Any] | None":
    """The column that a path of attributes leads to, e.g. `policy.scheme`; None if it is not a column."""
    *path, last = (source or "").split(".")
    found: Any = model
    try:
        for name in path:
            found = found._meta.get_field(name).related_model
    except FieldDoesNotExist:
        return None
    return next((column for column in found._meta.concrete_fields if last in (column.name, column.attname)), None)
