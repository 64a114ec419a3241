"""SQL functions that SQLite lacks. PostgreSQL has them."""

from typing import Any

from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import JSONInvalid
from keygen_site.jsonapi.text import metadata_name


def casefold(text: str | None) -> str | None:
    """A text in lower case, for all letters. SQLite's own function knows those of ASCII only."""
    return text.casefold() if isinstance(text, str) else text


def json_contains(text: Any, wanted: str) -> bool:
    """Whether a JSON value contains another one, as PostgreSQL's `@>`."""
    if not isinstance(text, str):
        return False
    try:
        return _contains(codec.loads(text.encode()), codec.loads(wanted.encode()))
    except JSONInvalid:
        return False


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            name in value and _contains(value[name], item) for name, item in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_contains(each, item) for each in value) for item in wanted)
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


# The number of arguments, and the function, by the name in SQL.
FUNCTIONS = {"metadata_name": (1, metadata_name), "casefold": (1, casefold), "json_contains": (2, json_contains)}
