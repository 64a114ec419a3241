"""Headers of requests; member names and timestamps of JSON:API documents.

Plain Python: models and services use it too.
"""

import re
from collections import Counter
from datetime import datetime
from functools import lru_cache
from typing import Any

# Between words of a member name: `userID`, `HTTPServer`, `line2Name`.
_WORD_STARTS = re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")
_METADATA_NAME = re.compile(r"(?=[^A-Za-z0-9]*[A-Za-z0-9])[A-Za-z0-9 ./:_-]+")
# Python refuses to convert more than 4,300 digits.
_LEADING_INTEGER = re.compile(r"\s*([+-]?\d(?:_?\d){0,3999})", re.ASCII)
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_one_line(text: str) -> bool:
    """Whether a text has neither control characters and line separators nor surrogates. Any space is permitted."""
    return not _NOT_ONE_LINE.search(text)


def header_text(value: str) -> str:
    """The text of a request header, of which WSGI has the bytes as latin-1.

    curl and Go send UTF-8. `fetch()` of browsers, Node.js and Python's requests send Latin-1, and refuse other
    characters.
    """
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def leading_integer(text: str) -> int:
    """The integer that a text in a query begins with, as `10`, `10.5` or `1_0`; 0 without one."""
    match = _LEADING_INTEGER.match(text)
    return int(match[1]) if match else 0


@lru_cache(maxsize=2048)
def snake(name: str) -> str:
    """`usePool`, `use-pool` and `Use Pool` are all `use_pool`."""
    return re.sub(r"[\W_]+", "_", _WORD_STARTS.sub("_", name)).strip("_").lower()


@lru_cache(maxsize=2048)
def camel(name: str) -> str:
    """`use_pool` is `usePool`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


@lru_cache(maxsize=2048)
def metadata_name(name: str) -> str:
    """A name in metadata as responses show it: `userID`, `user-id` and `User Id` are all `userId`.

    A name with letters beyond ASCII or with symbols stays as it was sent: it would lose them.
    """
    return camel(snake(name)) if _METADATA_NAME.fullmatch(name) else name


@lru_cache(maxsize=2048)
def metadata_snake_name(name: str) -> str:
    """The same in snake_case: `user_id`."""
    return snake(name) if _METADATA_NAME.fullmatch(name) else name


def show_metadata(value: Any) -> Any:
    """Metadata with its names as responses show them. Names that would become the same one stay as they were sent."""
    if isinstance(value, dict):
        names = {name: metadata_name(name) for name in value}
        if len(set(names.values())) < len(names):
            shared = [name for name, count in Counter(names.values()).items() if count > 1]
            names = {name: name if shown in shared else shown for name, shown in names.items()}
        return {names[name]: show_metadata(content) for name, content in value.items()}
    return [show_metadata(item) for item in value] if isinstance(value, list) else value


def merge_spellings(value: Any) -> Any:
    """Metadata without those members that a later one repeats in camelCase or snake_case: `userId` and `user_id`."""
    if isinstance(value, dict):
        spelled = [name for name in value if name in (snake(name), camel(snake(name)))]
        repeated = set(spelled) - set({snake(name): name for name in spelled}.values())
        return {name: merge_spellings(item) for name, item in value.items() if name not in repeated}
    return [merge_spellings(item) for item in value] if isinstance(value, list) else value


def timestamp(time: datetime | None) -> str | None:
    """ISO 8601 in UTC with three fractional digits, truncated, e.g. `2017-01-02T20:26:53.464Z`."""
    # `strftime` would write the year 204 with three digits.
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" if time else None
