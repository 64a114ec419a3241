"""Identifiers as clients send them."""

import re
from uuid import UUID

# Hyphens optional, any case (contract: keys 0.3).
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def parse_uuid(text):
    """The UUID that a text spells, or None when it spells none."""
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def uuid7_floor(moment):
    """The smallest id (UUID version 7) of a row made at a moment or after it: a bound for what is ordered by id."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
