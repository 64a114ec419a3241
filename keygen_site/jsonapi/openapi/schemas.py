"""Documents and resource objects as JSON Schema, read from the tables that the API itself runs by."""

from django.core.exceptions import FieldDoesNotExist
from rest_framework import serializers
from rest_framework.fields import Field

from keygen_site.jsonapi.request_documents import LARGEST_INTEGER, camel
from keygen_site.jsonapi.serializers import VisibleRelatedField

UUID = {"type": "string", "format": "uuid"}
MOMENT = {"type": "string", "format": "date-time"}
LINK = {"type": "string", "format": "uri-reference"}
_OBJECT = {"type": "object", "additionalProperties": True}

_TYPES = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
    "float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "uuid": UUID,
    "time": MOMENT,
}


def ref(kind, name):
    """A reference to a component of the description."""
    return {"$ref": f"#/components/{kind}/{name}"}


def objects(properties, *, required=None):
    """The schema of an object with these properties, all of which it has unless `required` says which."""
    names = list(properties if required is None else required)
    return {"type": "object", "properties": properties} | ({"required": names} if names else {})


def or_null(schema):
    """The same, or null."""
    if "$ref" in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    schema = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema


# What a client sends ---------------------------------------------------------------------------------------------


def of_member(member):
    """A member of a document that a client sends, as JSON Schema."""
    if member.members is not None:
        properties = {camel(name): of_member(inner) for name, inner in member.members.items()}
        required = [camel(name) for name, inner in member.members.items() if inner.required]
        schema = objects(properties, required=required) | {"additionalProperties": False}
    elif member.type == "object":
        schema = dict(_OBJECT) | ({} if member.blank else {"minProperties": 1})
    elif member.type == "array":
        schema = {"type": "array"} | ({"items": of_member(member.items)} if member.items else {})
        if not member.blank:
            schema["minItems"] = 1
    else:
        schema = dict(_TYPES[member.type])
        if member.one_of:
            schema["enum"] = list(member.one_of)
        elif member.type == "string" and not member.blank:
            schema |= {"minLength": 1, "pattern": r"\S"}
    return or_null(schema) if member.nullable else schema


def of_members(members):
    """A whole document that a client sends, and whether it must send one."""
    schema = objects({camel(name): of_member(member) for name, member in members.items()}, required=[])
    if required := [camel(name) for name, member in members.items() if member.required]:
        schema["required"] = required
    return schema | {"additionalProperties": False}, bool(required)


def of_request(serializer, creating):
    """The document that makes or changes a row: its members, and what the model says of each value."""
    schema, required = of_members(serializer.schema(creating))
    data = schema["properties"]["data"]
    attributes = data["properties"]["attributes"]["properties"]
    fields = serializer().fields
    former = {then.name for then in getattr(serializer, "former", ())}
    for name in serializer.schema(creating)["data"].members["attributes"].members:
        if name in former:
            del attributes[camel(name)]
        elif name in fields:
            attributes[camel(name)] |= _limits(fields[name], attributes[camel(name)])
    return schema, required


def _limits(field: Field, schema):
    limits = {}
    if isinstance(field, serializers.ChoiceField) and "enum" not in schema:
        limits["enum"] = [*_values(field), *([None] if "null" in schema["type"] else [])]
    for option, keyword in (("max_length", "maxLength"), ("min_value", "minimum"), ("max_value", "maximum")):
        if (value := getattr(field, option, None)) is not None:
            limits[keyword] = value
    return limits


def _values(field):
    return [value for value in field.choices if value not in ("", None)]


# What the server answers -----------------------------------------------------------------------------------------


def of_resource(serializer):
    """A resource object as the serializer writes it."""
    path_links = objects({"self": LINK})
    fields = serializer().fields
    attributes = {name: None for name, _, _ in serializer.table()}
    for name, field in fields.items():
        if camel(name) in attributes and not isinstance(field, VisibleRelatedField):
            attributes[camel(name)] = _of_attribute(field, serializer.Meta.model)
    relationships = {
        camel(name): _of_relationship(relationship, serializer.Meta.model)
        for name, relationship in serializer.relationships.items()
    }
    schema = objects(
        {
            "id": UUID,
            "type": {"type": "string", "enum": [serializer.type_name()]},
            "links": path_links,
            "attributes": objects(attributes),
            "relationships": objects(relationships),
        }
    )
    serializer.describe(schema["properties"])
    schema["required"] = list(schema["properties"])
    return schema


def _of_attribute(field, model):
    if isinstance(field, serializers.ReadOnlyField):
        field = _behind(field, model)
    match field:
        case serializers.BooleanField():
            schema = {"type": "boolean"}
        case serializers.IntegerField():
            schema = {"type": "integer"}
        case serializers.FloatField():
            schema = {"type": "number"}
        case serializers.DateTimeField():
            schema = dict(MOMENT)
        case serializers.UUIDField():
            schema = dict(UUID)
        case serializers.ListField():
            schema = {"type": "array", "items": _of_attribute(field.child, model)}
        case serializers.JSONField():
            schema = dict(_OBJECT)
        case serializers.ChoiceField():
            schema = {"type": "string", "enum": _values(field)}
        case _:
            schema = {"type": "string"}
    return or_null(schema) if getattr(field, "allow_null", False) or _is_null(field.source, model) else schema


def _behind(field, model):
    """The field that a read-only path of attributes, e.g. `policy.scheme`, leads to."""
    column = _column(field.source, model)
    if column is None:
        return field
    inner = serializers.ModelSerializer().build_standard_field(column.name, column)
    found = inner[0](**{name: value for name, value in inner[1].items() if name != "model_field"})
    found.source = field.source
    return found


def _column(source, model):
    """The column at the end of a path of attributes, or None where there is none."""
    *way, last = (source or "").split(".")
    try:
        for name in way:
            model = model._meta.get_field(name).related_model
        return next((f for f in model._meta.concrete_fields if last in (f.name, f.attname)), None)
    except FieldDoesNotExist:
        return None


def _is_null(source, model):
    column = _column(source, model)
    return column is not None and column.null


def _of_relationship(relationship, model):
    link = LINK
    members = {}
    if relationship.type:
        linked = objects({"type": {"type": "string", "enum": [relationship.type]}, "id": UUID})
        column = _column(relationship.source, model)
        empty = column is None or column.null
        if relationship.source is None:
            linked = {"type": "null"}
        elif empty:
            linked = or_null(linked)
        members["data"] = linked
        link = or_null(LINK) if relationship.direct and empty else LINK
    if relationship.meta:
        members["meta"] = _OBJECT
    return objects({"links": objects({"related": link}), **members})
