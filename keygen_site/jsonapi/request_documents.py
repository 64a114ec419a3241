"""What a request document must look like, and the one 400 that says why it does not (contract: keys 0.3).

A schema is a tree of `Member`. Three passes find the first problem:

1. members that the schema does not know, in the order of the document;
2. members that it knows but that this bearer or API version may not send;
3. each member: absent, null, of the wrong type, blank, not one of the permitted values; in the order of the
   schema, children before their parent.

Names are compared in snake case (`usePool`, `use_pool` and `use-pool` are one member); pointers are lowerCamel.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from django.utils.dateparse import parse_date, parse_datetime

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest, NullByte

METADATA_DEPTH = 2
LARGEST_INTEGER = 2**63 - 1
_DROPPED = object()


@dataclass(frozen=True)
class Member:
    """What one member of a document may be.

    Attributes:
        type: `string integer float boolean object array time uuid`, as an error names it.
        required: whether it must be there; null is then an error too, unless `nullable`.
        nullable: whether null is kept. An optional null that is not kept counts as absent.
        blank: whether an empty value is allowed.
        one_of: the values permitted, or empty for any.
        members: of an object: its members by name. None: anything goes, to a depth of two containers.
        items: of an array: what each item must be.
    """

    type: str = "object"
    required: bool = False
    nullable: bool = False
    blank: bool = False
    one_of: tuple[str, ...] = ()
    members: "dict[str, Member] | None" = field(default=None, hash=False)
    items: "Member | None" = None


def linkage(*types, required=True, nullable=False):
    """A relationship whose `data` is the type and id of one resource."""
    identifier = {"type": Member("string", required=True, one_of=types), "id": Member("uuid", required=True)}
    data = Member(required=True, nullable=nullable, members=identifier)
    return Member(required=required, members={"data": data})


def read(body, schema, withheld=frozenset()):
    """Check a body and return it with snake-case names and values as Python knows them.

    Args:
        body: the parsed body, a dict.
        schema: the members that a body may have, by name.
        withheld: pointers of members that the schema knows but this request may not send.

    Raises:
        BadRequest: the first problem.
    """
    whole = Member(members=schema)
    body = _normalised(body, whole)
    _refuse_unknown(body, whole, "")
    for pointer in withheld:
        if _holds(body, pointer):
            raise BadRequest("unpermitted parameter", pointer=pointer)
    return _checked(body, whole, "")


@lru_cache(maxsize=2048)
def snake(name):
    """`usePool`, `use-pool` and `Use Pool` are all `use_pool`."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[\W_]+", "_", words).strip("_").lower()


@lru_cache(maxsize=2048)
def camel(name):
    """`use_pool` is `usePool`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _normalised(value, member):
    """The same document with snake-case names wherever the schema names members."""
    if member.items is not None and isinstance(value, list):
        return [_normalised(item, member.items) for item in value]
    if member.members is None or not isinstance(value, dict):
        return value
    named = {snake(name): content for name, content in value.items()}
    return {
        name: _normalised(content, member.members[name]) if name in member.members else content
        for name, content in named.items()
    }


def _refuse_unknown(value, member, pointer):
    if member.items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unknown(item, member.items, f"{pointer}/{index}")
    if member.members is None or not isinstance(value, dict):
        return
    for name, content in value.items():
        inner = f"{pointer}/{camel(name)}"
        if name not in member.members:
            raise BadRequest("unpermitted parameter", pointer=inner)
        _refuse_unknown(content, member.members[name], inner)


def _holds(body, pointer):
    for name in pointer.strip("/").split("/"):
        if not isinstance(body, dict) or snake(name) not in body:
            return False
        body = body[snake(name)]
    return True


def _checked(value, member, pointer):
    """The value as Python knows it, or `_DROPPED` for a null that counts as absent."""
    if value is None:
        if member.nullable:
            return None
        if member.required:
            raise BadRequest("cannot be null", pointer=pointer)
        return _DROPPED
    value = _READ[member.type](value, pointer)
    if member.members is not None:
        return _checked_members(value, member.members, pointer)
    if member.items is not None:
        value = [_checked(item, member.items, f"{pointer}/{index}") for index, item in enumerate(value)]
    if not member.blank and value in ("", [], {}):
        raise BadRequest("cannot be blank", pointer=pointer)
    if isinstance(value, str) and not member.blank and not value.strip():
        raise BadRequest("cannot be blank", pointer=pointer)
    if isinstance(value, dict):
        _refuse_depth(value, pointer, 0)
    if member.one_of and value not in member.one_of:
        raise BadRequest("is invalid", pointer=pointer)
    return value


def _checked_members(value, members, pointer):
    read = {}
    for name, member in members.items():
        inner = f"{pointer}/{camel(name)}"
        if name not in value:
            if member.required:
                raise BadRequest("is missing", pointer=inner)
            continue
        content = _checked(value[name], member, inner)
        if content is not _DROPPED:
            read[name] = content
    return read


def _refuse_depth(value, pointer, depth):
    """Containers within containers, and NULs, in a free-form object."""
    if depth > METADATA_DEPTH:
        raise BadRequest(f"maximum depth of {METADATA_DEPTH} exceeded", pointer=pointer)
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, content in pairs:
        if isinstance(name, str) and "\0" in name:
            raise NullByte
        if isinstance(content, dict | list):
            _refuse_depth(content, f"{pointer}/{camel(name) if isinstance(name, str) else name}", depth + 1)
        elif isinstance(content, str) and "\0" in content:
            raise NullByte


def _type_name(value):
    names = {bool: "boolean", int: "integer", float: "float", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _mismatch(value, expected, pointer):
    return BadRequest(f"type mismatch (received {_type_name(value)} expected {expected})", pointer=pointer)


def _plain(kind, name):
    def check(value, pointer):
        if type(value) is not kind:
            raise _mismatch(value, name, pointer)
        return value

    return check


def _string(value, pointer):
    if type(value) is not str:
        raise _mismatch(value, "string", pointer)
    if "\0" in value:
        raise NullByte
    return value


def _integer(value, pointer):
    # The parser reads an integer beyond 64 bits as a float.
    if type(value) in (int, float) and abs(value) > LARGEST_INTEGER:
        raise BadRequest("integer is too large", pointer=pointer)
    if type(value) is not int:
        raise _mismatch(value, "integer", pointer)
    return value


def _float(value, pointer):
    if type(value) not in (int, float):
        raise _mismatch(value, "float", pointer)
    return float(value)


def _uuid(value, pointer):
    uuid = parse_uuid(value)
    if uuid is None:
        raise _mismatch(value, "UUID string", pointer)
    return uuid


def parse_time(value, pointer=None):
    """A moment: ISO 8601, without an offset in UTC, or seconds since 1970 (contract: licenses 0.2)."""
    if type(value) not in (str, int, float):
        raise _mismatch(value, "time", pointer)
    try:
        if type(value) is not str or value.strip().isdecimal():
            return datetime.fromtimestamp(float(value), UTC)
        moment = parse_datetime(value) or datetime.combine(parse_date(value), datetime.min.time())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        raise BadRequest("failed to coerce string to time", pointer=pointer) from None


_READ = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _plain(bool, "boolean"),
    "object": _plain(dict, "object"),
    "array": _plain(list, "array"),
    "uuid": _uuid,
    "time": parse_time,
}
