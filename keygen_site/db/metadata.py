"""Limits of `metadata`, a client's own data of a resource, and its filter."""

import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, QuerySet
from django.utils.datastructures import MultiValueDict

from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.text import metadata_name, metadata_snake_name, snake

MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MAX_METADATA_KEYS = 16_384, 4, 64
MAX_METADATA_FILTERS = 10  # values in a query: each is compared with all metadata of the account
_PARAMETER = re.compile(r"metadata(?P<names>(?:\[[^\[\]]+\])+)(?P<list>\[\])?")
_NAME = re.compile(r"\[([^\[\]]+)\]")
_WORDS = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"-?[0-9]{1,300}(?P<fraction>\.[0-9]+)?")
# `keygen_site.jsonapi.text.metadata_name` in SQL.
_METADATA_NAME_SQL = (
    r"""(SELECT CASE WHEN name ~ '^[A-Za-z0-9 ./:_-]*[A-Za-z0-9][A-Za-z0-9 ./:_-]*$'
    THEN lower(left(words, 1)) || substr(words, 2) ELSE name END """
    r"""FROM (SELECT {0} COLLATE "C" AS name, replace(initcap("""
    r"""regexp_replace(regexp_replace(regexp_replace({0} COLLATE "C", '([A-Z])([A-Z][a-z])', '\1 \2', 'g'), """
    r"""'([a-z0-9])([A-Z])', '\1 \2', 'g'), '[./:_-]+', ' ', 'g')), ' ', '') AS words) AS spelled)"""
)
# The description of the filter in the OpenAPI document.
METADATA_FILTER_HELP = (
    "Only those with these values: `metadata[key]=value`. Nested texts: `metadata[owner][first_name]=Ann`, inner names "
    "in snake case; texts in an array: `metadata[tags][]=a`. At most 10 values."
)


def validate_metadata(metadata: Any) -> None:
    """Refuse metadata that exceeds a limit (contract: keys 0.3).

    Raises:
        ValidationError: with the code `too_long`, for the first limit exceeded.
    """
    depth, keys = _measure(metadata)
    if len(codec.dumps(metadata)) > MAX_METADATA_BYTES:
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
    matches in every spelling. `metadata[key][inner_key]=text` and
    `metadata[key][]=text`, an array that contains all the texts, compare texts only, and inner names are in snake case.
    A malformed parameter matches nothing; `metadata=text`, `metadata[]=text` and a blank value do not filter.

    Raises:
        BadRequest: there are more than MAX_METADATA_FILTERS values.
    """
    parameters = [name for name in query if name.startswith("metadata[") and name != "metadata[]"]
    # A repeated parameter has several values only as a list.
    if sum(len(query.getlist(name)) if name.endswith("[]") else 1 for name in parameters) > MAX_METADATA_FILTERS:
        raise BadRequest(f"must have at most {MAX_METADATA_FILTERS} values", parameter="metadata")
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return queryset.none()
        first, *inner = _NAME.findall(match["names"])
        texts = query.getlist(parameter)
        if not inner and not match["list"]:
            if texts[-1]:
                queryset = queryset.filter(_Holds([first], _parse_scalars(texts[-1])))
            continue
        if len(inner) >= MAX_METADATA_DEPTH or any(snake(name) != name for name in inner):
            return queryset.none()
        names = [first, *inner]
        if match["list"]:
            queryset = queryset.filter(_HoldsAll(names, sorted(set(texts))))
        else:
            queryset = queryset.filter(_Holds(names, texts[-1:]))
    return queryset


def _parse_scalars(text: str) -> list[Any]:
    """A text, and the number, boolean or null that it spells."""
    if text in _WORDS:
        return [text, _WORDS[text]]
    if match := _NUMBER.fullmatch(text):
        return [text, float(text) if match["fraction"] else int(text)]
    return [text]


class _Holds(Func):
    """Whether `metadata` has one of several scalars at a path. Names match in every spelling, see `metadata_name`.

    Args:
        names: the path.
        values: the scalars.
    """

    output_field = BooleanField()

    def __init__(self, names: list[str], values: list[Any]) -> None:
        super().__init__(F("metadata"))
        self.names, self.values = [metadata_name(name) for name in names], values

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        is_postgresql = connection.vendor == "postgresql"
        source, params = compiler.compile(self.source_expressions[0])
        tables, conditions, values = [], [], list(params)
        # A table of members for each level, not a JSON path, in which `0` and `"` would not be names.
        for number, name in enumerate(self.names):
            level = f"level_{number}"
            if is_postgresql:
                members = f"CASE jsonb_typeof({source}) WHEN 'object' THEN {source} ELSE '{{}}' END"
                tables.append(f"jsonb_each({members}) AS {level}")
                conditions.append(f"{_METADATA_NAME_SQL.format(f'{level}.key')} = %s")
                source = f"{level}.value"
            else:
                tables.append(f"json_each({source}) AS {level}")
                conditions.append(f"metadata_name({level}.key) = %s")  # see `keygen_site.db.sqlite`
                source = f"CASE {level}.type WHEN 'object' THEN {level}.value ELSE '{{}}' END"
            values.append(name)
        condition, more = (self._condition_on_postgresql if is_postgresql else self._condition_on_sqlite)(level)
        where = " AND ".join([*conditions, condition])
        return f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {where})", (*values, *more)

    def _condition_on_postgresql(self, member: str) -> tuple[str, list[Any]]:
        """The condition on the last member of the path, and its parameters."""
        places = ", ".join(["%s::jsonb"] * len(self.values))
        return f"{member}.value IN ({places})", [codec.dumps(value).decode() for value in self.values]

    def _condition_on_sqlite(self, member: str) -> tuple[str, list[Any]]:
        # Types are compared too: `true` is not 1, and a text is not the number that it spells.
        texts = [value for value in self.values if isinstance(value, str)]
        others = [codec.dumps(value).decode() for value in self.values if not isinstance(value, str)]
        conditions = [f"{member}.type = 'text' AND {member}.atom = %s" for _ in texts]
        for value in others:
            kinds = {"true": "'true'", "false": "'false'", "null": "'null'"}.get(value, "'integer', 'real'")
            conditions.append(f"{member}.type IN ({kinds}) AND {member}.atom IS json_extract(%s, '$')")
        return f"({' OR '.join(conditions)})", texts + others


class _HoldsAll(_Holds):
    """Whether `metadata` has an array with all of several texts at a path."""

    def _condition_on_postgresql(self, member: str) -> tuple[str, list[Any]]:
        contains = f"jsonb_typeof({member}.value) = 'array' AND {member}.value @> %s::jsonb"
        return contains, [codec.dumps(self.values).decode()]

    def _condition_on_sqlite(self, member: str) -> tuple[str, list[Any]]:
        items = f"json_each(CASE {member}.type WHEN 'array' THEN {member}.value ELSE '[]' END)"
        texts = ", ".join(["%s"] * len(self.values))
        distinct = f"SELECT COUNT(DISTINCT atom) FROM {items} WHERE type = 'text' AND atom IN ({texts})"
        return f"({distinct}) = {len(self.values)}", list(self.values)


class _Contains(_Holds):
    """Whether `metadata` has a container at a path that contains one of several containers."""

    def _condition_on_postgresql(self, member: str) -> tuple[str, list[Any]]:
        conditions = " OR ".join([f"{member}.value @> %s::jsonb"] * len(self.values))
        return f"({conditions})", [codec.dumps(value).decode() for value in self.values]

    def _condition_on_sqlite(self, member: str) -> tuple[str, list[Any]]:
        # See `keygen_site.db.sqlite.functions`.
        conditions = " OR ".join([f"json_contains({member}.value, %s)"] * len(self.values))
        texts = [codec.dumps(value).decode() for value in self.values]
        return f"{member}.type IN ('object', 'array') AND ({conditions})", texts


def metadata_has(name: str, value: Any) -> Func:
    """A condition: whether `metadata` has a value under a name, in any spelling of the name (contract: search 3).

    A text also stands for the number, boolean or null that it spells. An object or an array is compared by
    containment, its names in the spelling of the request, in camelCase and in snake_case.
    """
    if isinstance(value, dict | list):
        return _Contains([name], [value, _respell(value, metadata_name), _respell(value, metadata_snake_name)])
    return _Holds([name], _parse_scalars(value) if isinstance(value, str) else [value])


def _respell(value: Any, spell: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {spell(name): _respell(item, spell) for name, item in value.items()}
    return [_respell(item, spell) for item in value] if isinstance(value, list) else value
