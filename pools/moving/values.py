"""Values of an export in the form in which the database stores them, checked one by one.

PostgreSQL gets them as the texts of its COPY, SQLite as parameters.
"""

import json
import re
from collections.abc import Callable
from datetime import MAXYEAR, UTC, datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import BooleanField, DateTimeField, Field, ForeignKey, IntegerField, JSONField, UUIDField

from accounts.models.users import EmailField
from keygen_site.db.fields import DigestField, MaxBytes
from keygen_site.db.key_digests import key_digester
from keygen_site.db.key_fields import KeyDigestField, KeyEndingField
from keygen_site.db.metadata import validate_metadata
from keygen_site.encryption import EncryptedField, text_encrypter

# Makes the stored form of a value that is not null. Raises `ValueInvalid`.
Converter = Callable[[Any], Any]

NULL = "\\N"  # of COPY
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Of COPY: each of them would end a value or a row.
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_FIRST_TIME = datetime(1, 1, 2, tzinfo=UTC)  # PostgreSQL's sessions may have another time zone
_LAST_PAST_YEAR = 2999  # durations are added to it, and years end with 9999


class ValueInvalid(ValueError):
    """A value does not fit its field. The message is the predicate of a sentence, e.g. `must not be null`."""


class Derived(NamedTuple):
    """A field whose stored value is computed from the text of another one.

    Attributes:
        field: e.g. the digest of a key.
        attname: of the field with the text.
        convert: makes its stored form from the text.
    """

    field: Field
    attname: str
    convert: Converter


def converter_of(field: Field) -> Converter:
    """A function that checks a value of a field and returns its stored form. Values of the export are not null."""
    encode = _encoder_for_copy if connection.vendor == "postgresql" else _keep
    match field:
        case EncryptedField():
            encrypt = text_encrypter(field.purpose)
            return lambda value: encode(encrypt(_read_text(value)))
        case ForeignKey() | UUIDField():
            return _read_uuid if connection.vendor == "postgresql" else _read_uuid_in_hex
        case DateTimeField():
            return _time_reader(field)
        case BooleanField():
            return _read_boolean_for_copy if connection.vendor == "postgresql" else _read_boolean
        case IntegerField():
            return _integer_reader(field, encode)
        case JSONField():
            read = _read_metadata if validate_metadata in field.validators else _read_json
            return lambda value: encode(read(value))
        case EmailField():
            return _text_reader(field, lambda text: encode(text.strip().lower()))
    return _text_reader(field, encode)


def derived_fields(model: Any) -> list[Derived]:
    """The fields of a model that are computed from the texts of others."""
    digester = key_digester()
    encode_bytes = _bytes_for_copy if connection.vendor == "postgresql" else _keep
    found = []
    for field in model._meta.concrete_fields:
        convert: Callable[[str], Any]
        if isinstance(field, KeyDigestField):
            convert = _then(digester.digest, encode_bytes)
        elif isinstance(field, DigestField):
            convert = _then(field.compute, encode_bytes)
        elif isinstance(field, KeyEndingField):
            convert = _then(digester.ending, _keep if connection.vendor == "sqlite" else str)
        else:
            continue
        found.append(Derived(field, field.of, convert))
    return found


def encode_bytes(value: bytes) -> Any:
    """The stored form of bytes."""
    return _bytes_for_copy(value) if connection.vendor == "postgresql" else value


def _then(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: second(first(value))


def _keep(value: Any) -> Any:
    return value


def _encoder_for_copy(value: Any) -> str:
    text = str(value)
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


def _bytes_for_copy(value: bytes) -> str:
    return f"\\\\x{value.hex()}"


def _read_text(value: Any) -> str:
    if type(value) is not str:
        raise ValueInvalid("must be a text")
    if "\0" in value:
        raise ValueInvalid("must not contain the character NUL")
    return value


def _text_reader(field: Field, encode: Converter) -> Converter:
    # The choices of the model's field, not those of the admin: blank is none of the export.
    choices = {value for value, _ in field.choices} if field.choices else None
    max_length = field.max_length
    max_bytes = next((each for each in field.validators if isinstance(each, MaxBytes)), None)

    def read(value: Any) -> Any:
        text = _read_text(value)
        if choices is not None and text not in choices:
            raise ValueInvalid(f"must be one of {', '.join(sorted(map(str, choices)))}")
        if max_length is not None and len(text) > max_length:
            raise ValueInvalid(f"must have at most {max_length:,} characters")
        if max_bytes is not None and max_bytes.clean(text) > max_bytes.limit_value:
            raise ValueInvalid(f"must have at most {max_bytes.limit_value:,} bytes")
        return encode(text)

    return read


def _read_uuid(value: Any) -> str:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise ValueInvalid("must be a UUID")
    return value


def _read_uuid_in_hex(value: Any) -> str:
    return _read_uuid(value).replace("-", "")


def _time_reader(field: Field) -> Converter:
    # An expiry may be any moment to come; all others are the past.
    last_year = MAXYEAR if field.name == "expiry" else _LAST_PAST_YEAR
    is_for_copy = connection.vendor == "postgresql"

    def read(value: Any) -> str:
        if type(value) is not datetime or value.tzinfo is not UTC or value < _FIRST_TIME:
            raise ValueInvalid("must be a moment")
        if value.year > last_year:
            raise ValueInvalid(f"must be a moment before the year {last_year + 1}")
        return value.isoformat() if is_for_copy else str(value.replace(tzinfo=None))

    return read


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueInvalid("must be true or false")
    return value


def _read_boolean_for_copy(value: Any) -> str:
    return "t" if _read_boolean(value) else "f"


def _integer_reader(field: Field, encode: Converter) -> Converter:
    bits = 63 if field.get_internal_type() == "BigIntegerField" else 31
    least, most = -(2**bits), 2**bits - 1
    # The constraint `licensing_license_uses_not_negative`, and what is added to an expiry of any year.
    if field.name in ("uses", "duration", "heartbeat_duration"):
        least = 0

    def read(value: Any) -> Any:
        if type(value) is not int or not least <= value <= most:
            raise ValueInvalid(f"must be an integer between {least:,} and {most:,}")
        return encode(value)

    return read


def _read_metadata(value: Any) -> str:
    if type(value) is not dict:
        raise ValueInvalid("must be a map")
    return _read_json(value)


def _read_json(value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueInvalid("must be JSON") from None
    if "\\u0000" in text and _has_nul(value):
        raise ValueInvalid("must not contain the character NUL")
    return text


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(item) for name, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value
