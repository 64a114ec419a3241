"""Validates request documents against a schema; the first violation becomes the 400 (contract: keys 0.3).

Three passes find it:

1. members that the schema does not know, in the order of the document;
2. members that this bearer or API version may not send;
3. each member, in the order of the schema and children before their parent: missing, null, of the wrong type, blank,
   or not one of the permitted values.

Names are compared in snake case (`usePool`, `use_pool` and `use-pool` are the same member); pointers are lowerCamel.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keygen_site.jsonapi.errors import BadRequest, NullByte
from keygen_site.jsonapi.text import camel, merge_spellings, metadata_name, snake
from keygen_site.jsonapi.types import OBJECT, STRING, UUID, ValueType

METADATA_DEPTH = 2
_DROPPED = object()


@dataclass(frozen=True)
class Schema:
    """The permitted values of a member of a document.

    Attributes:
        type: the kind of its value.
        required: whether it must be present; null is then an error too, unless `nullable`.
        nullable: whether null is kept. An optional null that is not kept counts as absent.
        blank: whether an empty value is allowed.
        one_of: the permitted values; empty for any.
        members: the members of an object by name; None for any members.
        items: the schema of an array's items.
        max_items: the largest number of items of an array; None for any.
        depth: how deep objects and arrays may be nested in an object with any members.
        description: its meaning, for the OpenAPI description.
    """

    type: ValueType = OBJECT
    required: bool = False
    nullable: bool = False
    blank: bool = False
    one_of: tuple[str, ...] = ()
    members: "Mapping[str, Schema] | None" = field(default=None, hash=False)
    items: "Schema | None" = None
    max_items: int | None = None
    depth: int = METADATA_DEPTH
    description: str = ""


Members = Mapping[str, Schema]


def identifier(*types: str, required: bool = True, nullable: bool = False) -> Schema:
    """A resource identifier: the type and id of one resource."""
    members = {
        "type": Schema(STRING, required=True, one_of=types, description="The resource type."),
        "id": Schema(UUID, required=True, description="The id of the resource."),
    }
    text = f"The type and id of the resource{', or null for none' if nullable else ''}."
    return Schema(required=required, nullable=nullable, members=members, description=text)


def linkage(*types: str, required: bool = True, nullable: bool = False, description: str = "") -> Schema:
    """A to-one relationship: an object whose `data` is a resource identifier."""
    members = {"data": identifier(*types, nullable=nullable)}
    return Schema(required=required, members=members, description=description)


def meta(**members: Schema) -> Members:
    """A document that must have a `meta` with these members."""
    return {"meta": Schema(required=True, members=members, description="The options of the action.")}


def validate(body: dict[str, Any], members: Members, withheld: Iterable[str] = ()) -> dict[str, Any]:
    """The body with names in snake case and values converted to Python.

    Args:
        body: the parsed body.
        members: the members that a body may have, by name.
        withheld: pointers of members that the schema knows but this request may not send.

    Raises:
        BadRequest: the first violation.
    """
    document = Schema(members=members)
    body = _with_snake_names(body, document)
    _refuse_unknown_members(body, document, "")
    for pointer in withheld:
        if _has_member(body, pointer):
            raise BadRequest("unpermitted parameter", pointer=pointer)
    return _read(body, document, "")


def _with_snake_names(value: Any, schema: Schema) -> Any:
    if schema.items is not None and isinstance(value, list):
        return [_with_snake_names(item, schema.items) for item in value]
    if schema.members is None or not isinstance(value, dict):
        return value
    named: dict[str, Any] = {}
    for name, content in value.items():
        if name not in named:  # of several spellings, snake_case comes last
            named[snake(name)] = content
    return {
        name: _with_snake_names(content, schema.members[name]) if name in schema.members else content
        for name, content in named.items()
    }


def _refuse_unknown_members(value: Any, schema: Schema, pointer: str) -> None:
    if schema.items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unknown_members(item, schema.items, f"{pointer}/{index}")
    if schema.members is None or not isinstance(value, dict):
        return
    for name, content in value.items():
        inner = f"{pointer}/{camel(name)}"
        if name not in schema.members:
            raise BadRequest("unpermitted parameter", pointer=inner)
        _refuse_unknown_members(content, schema.members[name], inner)


def _has_member(body: Any, pointer: str) -> bool:
    for name in pointer.strip("/").split("/"):
        if not isinstance(body, dict) or snake(name) not in body:
            return False
        body = body[snake(name)]
    return True


def _read(value: Any, schema: Schema, pointer: str) -> Any:
    """The Python value, or `_DROPPED` for a null that counts as absent."""
    if value is None:
        if schema.nullable:
            return None
        if schema.required:
            raise BadRequest("cannot be null", pointer=pointer)
        return _DROPPED
    value = schema.type.read(value, pointer)
    if schema.members is not None:
        return _read_members(value, schema.members, pointer)
    if schema.max_items is not None and len(value) > schema.max_items:
        raise BadRequest(f"length must be between 1 and {schema.max_items} (inclusive)", pointer=pointer)
    if schema.items is not None:
        value = [_read(item, schema.items, f"{pointer}/{index}") for index, item in enumerate(value)]
    if not schema.blank and value in ("", [], {}):
        raise BadRequest("cannot be blank", pointer=pointer)
    if isinstance(value, str) and not schema.blank and not value.strip():
        raise BadRequest("cannot be blank", pointer=pointer)
    if isinstance(value, dict):
        _refuse_deep_nesting(value, pointer, 0, schema.depth)
        value = merge_spellings(value)
    if schema.one_of and value not in schema.one_of:
        raise BadRequest("is invalid", pointer=pointer)
    return value


def _read_members(value: Mapping[str, Any], members: Members, pointer: str) -> dict[str, Any]:
    values = {}
    for name, schema in members.items():
        inner = f"{pointer}/{camel(name)}"
        if name not in value:
            if schema.required:
                raise BadRequest("is missing", pointer=inner)
            continue
        content = _read(value[name], schema, inner)
        if content is not _DROPPED:
            values[name] = content
    return values


def _refuse_deep_nesting(value: Collection[Any], pointer: str, depth: int, max_depth: int) -> None:
    """Refuse containers nested too deep, and NULs, in an object that may have any members."""
    if depth > max_depth:
        raise BadRequest(f"maximum depth of {max_depth} exceeded", pointer=pointer)
    pairs: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for name, content in pairs:
        if isinstance(name, str) and "\0" in name:
            raise NullByte
        if isinstance(content, dict | list):
            _refuse_deep_nesting(
                content,
                f"{pointer}/{metadata_name(name) if isinstance(name, str) else name}",
                depth + 1,
                max_depth,
            )
        elif isinstance(content, str) and "\0" in content:
            raise NullByte
