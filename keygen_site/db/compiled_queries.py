"""Querysets compiled to SQL once and run again with other parameters.

Django compiles a queryset each time it runs, which takes several times as long as the query itself (profile in
`benchmarks/README.md`). This is the only module that uses the ORM's compiler.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models.query import get_related_populators
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digest
from keygen_site.db.uuids import parse_uuid


class Bearer(Protocol):
    """The user, product or license that a credential speaks for; a dataclass."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def id(self) -> UUID: ...
    @property
    def type(self) -> str: ...
    @property
    def role(self) -> str: ...


M = TypeVar("M", bound=models.Model)
# Makes a parameter of the SQL from the values of a call.
Source = Callable[[Sequence[Any]], Any]
# Sample timestamps are far from the present, so that a `timezone.now()` in a queryset is not taken for one.
_SAMPLE_TIME = datetime(2525, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
_MAX_DISTANCE = timedelta(days=3650)


class Statement(NamedTuple, Generic[M]):
    """SQL with its parameters, and a function that makes an instance from a row of its result."""

    sql: str
    parameters: list[Any]
    build_row: Callable[[Sequence[Any]], M]


class UnsafeQuery(Exception):
    """The queryset depends on something that a compiled query would freeze or lose."""


class CompiledQuery(Generic[M]):
    """Compiles `build(*values)` to SQL once per thread and role, and runs it with new values.

    Each value has the type of its sample: a UUID, bytes, a timestamp, or a text (an identifier as a client sends it). A
    parameter of the SQL is recognised by its value: as one of the samples, as the digest, the keyed digest, the UUID or
    the normalized e-mail of a sample text, or as a timestamp at a fixed distance from a sample timestamp.

    With a bearer, `build(bearer, *values)` may depend on the bearer's role in any way; the bearer's id and account id
    are parameters.

    Raises:
        UnsafeQuery: at the first use, if the SQL does not contain a value, or contains a timestamp that is not derived
            from one: all calls would use that of the first call.
    """

    def __init__(self, build: Callable[..., models.QuerySet[M]], *samples: Any, unused: Sequence[int] = ()) -> None:
        """
        Args:
            build: makes the queryset from the values.
            samples: a sample of each value, made by `sample_uuid` and the other functions.
            unused: indexes of values that the queryset may leave out.
        """
        self.build, self.samples, self.unused = build, samples, frozenset(unused)
        self._compiled = threading.local()

    def first(self, *values: Any, bearer: Bearer | None = None) -> M | None:
        """The first row as a model instance, with related rows and annotations, or None."""
        return next(iter(self.rows(1, *values, bearer=bearer)), None)

    def rows(self, limit: int, *values: Any, bearer: Bearer | None = None) -> list[M]:
        """The first rows, at most `limit`."""
        statement = self.statement(*values, bearer=bearer)
        if statement is None:
            return []
        with connection.cursor() as cursor:
            # The limit is not a parameter: PostgreSQL would plan an unknown limit for a tenth of the table.
            cursor.execute(f"{statement.sql} LIMIT {limit:d}", statement.parameters)
            return [statement.build_row(row) for row in cursor.fetchall()]

    def statement(self, *values: Any, bearer: Bearer | None = None) -> Statement[M] | None:
        """The query with these values, as a part of another statement; None if it cannot find a row."""
        known: dict[Any, Any] = self._compiled.__dict__
        role = bearer and bearer.role
        if role not in known:
            known[role] = self._compile(bearer)
        sql, sources, build_row = known[role]
        if sql is None:
            return None
        if bearer:
            values = (bearer.account_id, bearer.id, *values)
        return Statement(sql, [source(values) for source in sources], build_row)

    def _compile(self, bearer: Bearer | None) -> tuple[str | None, list[Source], Callable[[Sequence[Any]], M] | None]:
        samples = list(self.samples)
        if bearer:
            account_id, bearer_id = uuid4(), uuid4()
            queryset = self.build(replace(cast(Any, bearer), account_id=account_id, id=bearer_id), *samples)
            samples = [account_id, bearer_id, *samples]
        else:
            queryset = self.build(*samples)
        compiler = queryset.query.get_compiler(connection=connection)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None, [], None
        found: set[int] = set()
        sources = [_source_of(_unwrap(parameter), samples, found) for parameter in parameters]
        offset = 2 if bearer else 0
        # A bearer's id is not in every queryset: staff see the whole account.
        missing = [n - offset for n in range(offset, len(samples)) if n not in found and n - offset not in self.unused]
        if missing or (bearer and 0 not in found):
            raise UnsafeQuery(f"values {missing or 'of the account'} are not parameters of: {sql}")
        return sql, sources, _row_builder(compiler)


def sample_uuid() -> UUID:
    """A sample for a value that is a UUID."""
    return uuid4()


def sample_bytes() -> bytes:
    """A sample for a value that is a digest."""
    return uuid4().bytes * 2


def sample_text() -> str:
    """A sample for a text that is not a UUID, such as an e-mail or a key."""
    return f"Sample-{uuid4().hex}"


def sample_uuid_text() -> str:
    """A sample for a text that spells a UUID."""
    return str(uuid4())


def sample_time() -> datetime:
    """A sample for a timestamp."""
    return _SAMPLE_TIME + timedelta(microseconds=uuid4().int % 10**9)


def _uuid_value(value: Any) -> UUID | None:
    return parse_uuid(value) if isinstance(value, str) else value


_UUID_FIELD, _TIME_FIELD, _BINARY_FIELD = models.UUIDField(), models.DateTimeField(), models.BinaryField()


def _prepare_text(index: int, values: Sequence[Any]) -> Any:
    return values[index]


def _prepare_uuid(index: int, values: Sequence[Any]) -> Any:
    return _UUID_FIELD.get_db_prep_value(_uuid_value(values[index]), connection)


def _prepare_key_digest(index: int, values: Sequence[Any]) -> Any:
    return _BINARY_FIELD.get_db_prep_value(key_digest(values[index]), connection)


def _prepare_digest(index: int, values: Sequence[Any]) -> Any:
    return _BINARY_FIELD.get_db_prep_value(digest(values[index]), connection)


def _prepare_bytes(index: int, values: Sequence[Any]) -> Any:
    return _BINARY_FIELD.get_db_prep_value(values[index], connection)


def _prepare_email(index: int, values: Sequence[Any]) -> Any:
    return values[index].strip().lower()


def _prepare_time(index: int, distance: timedelta, values: Sequence[Any]) -> Any:
    return _TIME_FIELD.get_db_prep_value(values[index] + distance, connection)


def _source_of(parameter: Any, samples: Sequence[Any], found: set[int]) -> Source:
    """The source of a parameter of the SQL. Adds the index of its sample to `found`."""
    for index, sample in enumerate(samples):
        source: Source | None = None
        match sample:
            case UUID():
                if parameter == _prepare_uuid(index, samples):
                    source = partial(_prepare_uuid, index)
            case bytes():
                if parameter == sample:
                    source = partial(_prepare_bytes, index)
            case datetime():
                time = _as_time(parameter)
                if time is not None and abs(time - sample) < _MAX_DISTANCE:
                    source = partial(_prepare_time, index, time - sample)
            case str():
                if parameter == sample:
                    source = partial(_prepare_text, index)
                elif parameter == key_digest(sample):
                    source = partial(_prepare_key_digest, index)
                elif parameter == digest(sample):
                    source = partial(_prepare_digest, index)
                elif parameter == sample.lower():
                    source = partial(_prepare_email, index)
                elif _uuid_value(sample) and parameter == _prepare_uuid(index, samples):
                    source = partial(_prepare_uuid, index)
        if source is not None:
            found.add(index)
            return source
    if _as_time(parameter) is not None:
        raise UnsafeQuery(f"the time {parameter!r} would be frozen in the compiled query")
    return lambda values: parameter


def _as_time(parameter: Any) -> datetime | None:
    """A parameter as a timestamp, or None if it is none. SQLite's adapter gets a text."""
    if isinstance(parameter, datetime):
        return parameter if timezone.is_aware(parameter) else parameter.replace(tzinfo=UTC)
    if isinstance(parameter, str) and len(parameter) >= 19 and parameter[4] == parameter[7] == "-":
        try:
            return datetime.fromisoformat(parameter).replace(tzinfo=UTC)
        except ValueError:
            return None
    return None


def _unwrap(value: Any) -> Any:
    """A parameter without psycopg's wrapper of bytes, which compares equal to nothing."""
    value = getattr(value, "obj", value)
    return bytes(value) if isinstance(value, memoryview) else value


def row_builder(queryset: models.QuerySet[M], using: str) -> tuple[list[str], Callable[[Sequence[Any]], M]]:
    """The columns that a queryset selects, and a function that makes an instance from a row of them."""
    compiler = queryset.query.get_compiler(using=using)
    compiler.as_sql()
    return [column[0].target.column for column in compiler.select], _row_builder(compiler)


def _row_builder(compiler: SQLCompiler) -> Callable[[Sequence[Any]], Any]:
    """A function that makes an instance from a row, as Django's `ModelIterable` does."""
    fields, annotations = compiler.klass_info["select_fields"], compiler.annotation_col_map
    first, last = fields[0], fields[-1] + 1
    names = [column[0].target.attname for column in compiler.select[first:last]]
    model, using = compiler.klass_info["model"], compiler.using
    populators = get_related_populators(compiler.klass_info, compiler.select, using)  # type: ignore[call-arg, arg-type]
    converters = compiler.get_converters([column[0] for column in compiler.select[0 : compiler.col_count]])

    def build(row: Sequence[Any]) -> Any:
        row = next(compiler.apply_converters([row], converters)) if converters else row
        instance = model.from_db(using, names, row[first:last])
        for populator in populators:
            populator.populate(row, instance)
        for name, position in annotations.items():
            setattr(instance, name, row[position])
        return instance

    return build
