"""Limits of `metadata`, a client's own data of a resource, and its filter."""

import re
from itertools import product
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, QuerySet
from django.utils.datastructures import MultiValueDict

from keygen_site.jsonapi.text import camel, snake

MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MAX_METADATA_KEYS = 16_384, 4, 64
_PARAMETER = re.compile(r"metadata(?P<names>(?:\[[^\[\]]+\])+)(?P<list>\[\])?")
_NAME = re.compile(r"\[([^\[\]]+)\]")
# The description of the filter in the OpenAPI document.
METADATA_FILTER_HELP = (
    "Only those with these values: `metadata[key]=value`. Nested texts: `metadata[owner][first_name]=Ann`, inner names "
    "in snake case; texts in an array: `metadata[tags][]=a`."
)


def validate_metadata(metadata: Any) -> None:
    """Refuse metadata that exceeds a limit (contract: keys 0.3).

    Raises:
        ValidationError: with the code `too_long`, for the first limit exceeded.
    """
    depth, keys = _measure(metadata)
    if len(orjson.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValidationError(f"too large (exceeded limit of {MAX_METADATA_BYTES} bytes)", code="too_long")
    if depth > MAX_METADATA_DEPTH:
        raise ValidationError(f"too many items (exceeded limit of {MAX_METADATA_DEPTH} items)", code="too_long")
    if keys > MAX_METADATA_KEYS:
        raise ValidationError(f"too many keys (exceeded limit of {MAX_METADATA_KEYS} keys)", code="too_long")


def _measure(value: Any) -> tuple[int, int]:
    """The depth of nested containers, and the number of keys in all objects."""
    if not isinstance(value, dict | list):
        return 0, 0
    inner = [_measure(item) for item in (value.values() if isinstance(value, dict) else value)]
    keys = len(value) if isinstance(value, dict) else 0
    return 1 + max((depth for depth, _ in inner), default=0), keys + sum(count for _, count in inner)


def filter_metadata(queryset: QuerySet, query: MultiValueDict[str, str]) -> QuerySet:
    """The rows whose metadata has every value that a query asks for (contract: licenses 5.2).

    `metadata[key]=value` compares a value with a text, and with the number, boolean or null that it spells. The key
    matches by its name as it was sent, and as the response shows it. `metadata[key][inner_key]=text` and
    `metadata[key][]=text`, an array that contains all the texts, compare texts only, and inner names are in snake case.
    A malformed parameter matches nothing; `metadata=text`, `metadata[]=text` and a blank value do not filter.
    """
    parameters = [name for name in query if name.startswith("metadata[") and name != "metadata[]"]
    if len(parameters) > MAX_METADATA_KEYS:
        return queryset.none()
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return queryset.none()
        first, *inner = _NAME.findall(match["names"])
        texts = query.getlist(parameter)
        if not inner and not match["list"]:
            if texts[-1]:
                queryset = queryset.filter(_Holds([_spellings(first)], _parse_scalars(texts[-1])))
            continue
        if len(inner) >= MAX_METADATA_DEPTH or any(snake(name) != name for name in inner):
            return queryset.none()
        names = [_spellings(first), *({name, camel(name)} for name in inner)]
        if match["list"]:
            queryset = queryset.filter(_HoldsAll(names, sorted(set(texts))))
        else:
            queryset = queryset.filter(_Holds(names, texts[-1:]))
    return queryset


def _spellings(name: str) -> set[str]:
    """A name as it was sent, in snake case, and in the camel case of responses."""
    return {name, snake(name), camel(snake(name))}


def _parse_scalars(text: str) -> list[Any]:
    """A text, and the number, boolean or null that it spells."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text]
    return [text] if isinstance(value, dict | list | str) else [text, value]


class _Holds(Func):
    """Whether `metadata` has one of several scalars at a path.

    Args:
        names: the possible names at each level of the path.
        values: the scalars.
    """

    output_field = BooleanField()

    def __init__(self, names: list[set[str]], values: list[Any]) -> None:
        super().__init__(F("metadata"))
        self.names, self.values = [sorted(level) for level in names], values

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        if connection.vendor == "postgresql":
            documents = [orjson.dumps(document).decode() for document in self._build_documents()]
            return f"({' OR '.join([f'{column} @> %s::jsonb'] * len(documents))})", (*params, *documents)
        # A table of members for each level, not a JSON path, in which `0` and `"` would not be names.
        source, tables, conditions, values = column, [], [], list(params)
        for number, level in enumerate(self.names):
            tables.append(f"json_each({source}) AS level_{number}")
            conditions.append(f"level_{number}.key IN ({', '.join(['%s'] * len(level))})")
            values += level
            container = f"level_{number}.value"
            source = f"CASE level_{number}.type WHEN 'object' THEN {container} ELSE '{{}}' END"
        condition, more = self._build_condition(f"level_{len(self.names) - 1}")
        where = " AND ".join([*conditions, condition])
        return f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {where})", (*values, *more)

    def _build_documents(self) -> list[dict[str, Any]]:
        """Documents. `metadata` must contain one of them."""
        return [_nest(path, value) for path in product(*self.names) for value in self.values]

    def _build_condition(self, member: str) -> tuple[str, list[Any]]:
        """The condition on the last member of the path, for SQLite, and its parameters."""
        # Types are compared too: `true` is not 1, and a text is not the number that it spells.
        texts = [value for value in self.values if isinstance(value, str)]
        others = [orjson.dumps(value).decode() for value in self.values if not isinstance(value, str)]
        conditions = [f"{member}.type = 'text' AND {member}.atom = %s" for _ in texts]
        for value in others:
            kinds = {"true": "'true'", "false": "'false'", "null": "'null'"}.get(value, "'integer', 'real'")
            conditions.append(f"{member}.type IN ({kinds}) AND {member}.atom IS json_extract(%s, '$')")
        return f"({' OR '.join(conditions)})", texts + others


class _HoldsAll(_Holds):
    """Whether `metadata` has an array with all of several texts at a path."""

    def _build_documents(self) -> list[dict[str, Any]]:
        return [_nest(path, self.values) for path in product(*self.names)]

    def _build_condition(self, member: str) -> tuple[str, list[Any]]:
        items = f"json_each(CASE {member}.type WHEN 'array' THEN {member}.value ELSE '[]' END)"
        texts = ", ".join(["%s"] * len(self.values))
        distinct = f"SELECT COUNT(DISTINCT atom) FROM {items} WHERE type = 'text' AND atom IN ({texts})"
        return f"({distinct}) = {len(self.values)}", list(self.values)


def _nest(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A document that has a value at a path."""
    for name in reversed(path):
        value = {name: value}
    return value
