"""Member names and timestamps of JSON:API documents. Plain Python: models and services use it too."""

import re
from datetime import datetime
from functools import lru_cache

_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_one_line(text: str) -> bool:
    """Whether a text has neither control characters and line separators nor surrogates. Any space is permitted."""
    return not _NOT_ONE_LINE.search(text)


@lru_cache(maxsize=2048)
def snake(name: str) -> str:
    """`usePool`, `use-pool` and `Use Pool` are all `use_pool`."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[\W_]+", "_", words).strip("_").lower()


@lru_cache(maxsize=2048)
def camel(name: str) -> str:
    """`use_pool` is `usePool`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def timestamp(time: datetime | None) -> str | None:
    """ISO 8601 in UTC with three fractional digits, truncated, e.g. `2017-01-02T20:26:53.464Z`."""
    # `strftime` would write the year 204 with three digits.
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" if time else None
