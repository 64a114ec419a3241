"""What `metadata` may hold: anything a client likes to keep beside a resource, within limits."""

import orjson
from django.core.exceptions import ValidationError

MAX_BYTES, MAX_DEPTH, MAX_KEYS = 16_384, 4, 64


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
