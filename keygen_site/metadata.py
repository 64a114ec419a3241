"""What `metadata` may hold: anything a client likes to keep beside a resource, within limits."""

import re

import orjson
from django.core.exceptions import ValidationError
from django.db.models import JSONField, Q, Value
from django.db.models.fields.json import KeyTransform

from keygen_site.documents import camel, snake

MAX_BYTES, MAX_DEPTH, MAX_KEYS = 16_384, 4, 64
_PARAMETER = re.compile(r"metadata\[([^\[\]]+)\]")


def validate_metadata(metadata):
    """Refuse metadata beyond the limits; only the first is told (contract: keys 0.3).

    Raises:
        ValidationError: of code `too_long`.
    """
    depth, keys = _measure(metadata)
    if len(orjson.dumps(metadata)) > MAX_BYTES:
        raise ValidationError(f"too large (exceeded limit of {MAX_BYTES} bytes)", code="too_long")
    if depth > MAX_DEPTH:
        raise ValidationError(f"too many items (exceeded limit of {MAX_DEPTH} items)", code="too_long")
    if keys > MAX_KEYS:
        raise ValidationError(f"too many keys (exceeded limit of {MAX_KEYS} keys)", code="too_long")


def _measure(value):
    """How deep containers lie within each other, and how many keys all objects have together."""
    if not isinstance(value, dict | list):
        return 0, 0
    inner = [_measure(item) for item in (value.values() if isinstance(value, dict) else value)]
    keys = len(value) if isinstance(value, dict) else 0
    return 1 + max((depth for depth, _ in inner), default=0), keys + sum(count for _, count in inner)


def filter_metadata(queryset, query):
    """The rows whose metadata has every value that a query asks for: `metadata[key]=value` (contract: licenses 5.2).

    A key is known by its name as it was sent, and as it is shown. A value is compared as text, and as the number,
    boolean or null that it spells.
    """
    for parameter, value in query.items():
        if match := _PARAMETER.fullmatch(parameter):
            values = [Value(spelled, JSONField()) for spelled in _spelled(value)]
            matches = Q()
            for number, name in enumerate({match[1], snake(match[1]), camel(snake(match[1]))}):
                queryset = queryset.alias(**{f"metadata_{number}": KeyTransform(name, "metadata")})
                for value in values:
                    matches |= Q(**{f"metadata_{number}": value})
            queryset = queryset.filter(matches)
    return queryset


def _spelled(text):
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text]
    return [text] if isinstance(value, dict | list | str) else [text, value]
