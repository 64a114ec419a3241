"""The types of values in documents: how each is read from a request, written to a response, and described.

`type_of_field` returns the type of a serializer field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from rest_framework import serializers

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import times
from keygen_site.jsonapi.errors import BadRequest, NullByte
from keygen_site.jsonapi.text import show_metadata, timestamp

LARGEST_INTEGER, LARGEST_INT32 = 2**63 - 1, 2**31 - 1
UUID_SCHEMA = {"type": "string", "format": "uuid"}
TIME_SCHEMA = {"type": "string", "format": "date-time"}


@dataclass(frozen=True)
class ValueType:
    """A type of values.

    Attributes:
        name: the name in the error of a type mismatch.
        read: converts a JSON value to Python; raises `BadRequest` with the given pointer.
        write: converts a Python value to JSON.
        schema: the JSON Schema.
    """

    name: str
    read: Callable[[Any, str | None], Any]
    write: Callable[[Any], Any]
    schema: Mapping[str, Any]


# Reading -------------------------------------------------------------------------------------------------------------

_JSON_NAMES = {bool: "boolean", int: "integer", float: "float", str: "string", dict: "object", list: "array"}


def _mismatch(value: Any, expected: str, pointer: str | None) -> NoReturn:
    received = _JSON_NAMES.get(type(value), "null")
    raise BadRequest(f"type mismatch (received {received} expected {expected})", pointer=pointer)


def _read_exactly(kind: type, name: str) -> Callable[[Any, str | None], Any]:
    def read(value: Any, pointer: str | None) -> Any:
        if type(value) is not kind:
            _mismatch(value, name, pointer)
        return value

    return read


def _read_string(value: Any, pointer: str | None) -> str:
    if type(value) is not str:
        _mismatch(value, "string", pointer)
    if "\0" in value:
        raise NullByte
    return value


def _read_integer(value: Any, pointer: str | None) -> int:
    if type(value) is not int:
        _mismatch(value, "integer", pointer)
    return value


def _read_int32(value: Any, pointer: str | None) -> int:
    if _read_integer(value, pointer) > LARGEST_INT32:
        raise BadRequest("integer is too large")
    return value


def _read_float(value: Any, pointer: str | None) -> float:
    if type(value) not in (int, float):
        _mismatch(value, "float", pointer)
    return float(value)


def _read_uuid(value: Any, pointer: str | None) -> Any:
    uuid = parse_uuid(value)
    if uuid is None:
        _mismatch(value, "UUID string", pointer)
    return uuid


def parse_time(value: Any, pointer: str | None = None) -> datetime:
    """A timestamp: seconds since 1970, or a text that `times.parse` reads (contract: licenses 0.2).

    Raises:
        BadRequest: the value is not a timestamp.
    """
    try:
        if type(value) is str:
            return times.parse(value)
        if type(value) is int and value >= 0:
            return times.of_seconds(value)
    except (ValueError, OverflowError, OSError):
        pass
    received = "hash" if isinstance(value, dict) else _JSON_NAMES.get(type(value), "null")
    raise BadRequest(f"failed to coerce {received} to time", pointer=pointer)


def _read_time(value: Any, pointer: str | None) -> datetime | None:
    return None if isinstance(value, str) and not value.strip() else parse_time(value, pointer)


# Writing -------------------------------------------------------------------------------------------------------------


def _unchanged(value: Any) -> Any:
    return value


# The table -----------------------------------------------------------------------------------------------------------

_INTEGERS = {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}

STRING = ValueType("string", _read_string, _unchanged, {"type": "string"})
INTEGER = ValueType("integer", _read_integer, _unchanged, _INTEGERS)
LARGE_INTEGER = ValueType("integer", _read_integer, _unchanged, {"type": "integer"})  # of any size
INT32 = ValueType("integer", _read_int32, _unchanged, _INTEGERS | {"maximum": LARGEST_INT32})
FLOAT = ValueType("float", _read_float, _unchanged, {"type": "number"})
BOOLEAN = ValueType("boolean", _read_exactly(bool, "boolean"), _unchanged, {"type": "boolean"})
UUID = ValueType("uuid", _read_uuid, _unchanged, UUID_SCHEMA)
TIME = ValueType("time", _read_time, timestamp, TIME_SCHEMA)
OBJECT = ValueType(
    "object", _read_exactly(dict, "object"), show_metadata, {"type": "object", "additionalProperties": True}
)
ARRAY = ValueType("array", _read_exactly(list, "array"), _unchanged, {"type": "array"})

_BY_FIELD: tuple[tuple[type[serializers.Field], ValueType], ...] = (
    (serializers.BooleanField, BOOLEAN),
    (serializers.IntegerField, INTEGER),
    (serializers.FloatField, FLOAT),
    (serializers.DateTimeField, TIME),
    (serializers.UUIDField, UUID),
    (serializers.ListField, ARRAY),
    (serializers.JSONField, OBJECT),
)


def type_of_field(field: serializers.Field) -> ValueType:
    """The type of a serializer field; a choice is a string. A field class may declare its own as `value_type`."""
    if own := getattr(field, "value_type", None):
        return own
    return next((value_type for kind, value_type in _BY_FIELD if isinstance(field, kind)), STRING)
