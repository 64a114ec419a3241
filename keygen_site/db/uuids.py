"""UUIDs as clients write them."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

# Hyphens optional, any case (contract: keys 0.3).
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
matches_uuid = _UUID.fullmatch  # whether a text spells a UUID; for millions of texts


def parse_uuid(text: Any) -> UUID | None:
    """The UUID that a text spells. None for any other text, and for a value that is not a text."""
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def uuid7_floor(timestamp: datetime) -> UUID:
    """The smallest UUIDv7 of a row created at a timestamp or later: a bound for queries ordered by id."""
    return UUID(int=max(int(timestamp.timestamp() * 1000), 0) << 80)
