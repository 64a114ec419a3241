"""Queries that are compiled once, for what most requests ask.

Django compiles a query anew each time it runs, which costs several times what the database needs for it (the profile
is in `benchmarks/README.md`). Here the SQL and the way from a row to objects are kept, for each thread.
"""

import threading
from dataclasses import replace
from uuid import uuid4

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models.query import get_related_populators


class CompiledQuery:
    """`CompiledQuery(queryset_of, *fields)`: the query that `queryset_of(*values)` makes, with the values as parameters.

    Each field says how its value, an id or bytes, is given to the database; the query must not depend on a value in
    any other way.
    With `bearer=`, `queryset_of(bearer, *values)` may depend on the bearer's role as it likes, and has their id and
    their account's as parameters.
    """

    def __init__(self, queryset_of, *fields):
        self.queryset_of, self.fields = queryset_of, fields
        self.local = threading.local()

    def first(self, *values, bearer=None):
        """The first row as a model instance, with all that the queryset selects, or None."""
        return next(iter(self.rows(1, *values, bearer=bearer)), None)

    def rows(self, most, *values, bearer=None):
        """The first rows, `most` at most, in the same way: a list."""
        sql, sources, build = self._compiled(bearer)
        if sql is None:
            return []
        fields = self.fields
        if bearer:
            values = (bearer.account_id, bearer.id, *values)
            fields = (_ID, _ID, *fields)
        given = [field.get_db_prep_value(value, connection) for field, value in zip(fields, values, strict=True)]
        with connection.cursor() as cursor:
            # The limit is part of the text: a plan for an unknown one would be made for a tenth of the table.
            cursor.execute(
                f"{sql} LIMIT {most:d}", [source if place is None else given[place] for place, source in sources]
            )
            return [build(row) for row in cursor.fetchall()]

    def _compiled(self, bearer):
        """The SQL, where each of its parameters comes from (the place of a value, or a constant), and the builder."""
        known = self.local.__dict__
        role = bearer and bearer.role
        if role not in known:
            known[role] = self._compile(bearer)
        return known[role]

    def _compile(self, bearer):
        samples = [uuid4() if isinstance(field, models.UUIDField) else uuid4().bytes for field in self.fields]
        fields = list(self.fields)
        if bearer:
            account_id, bearer_id = uuid4(), uuid4()
            queryset = self.queryset_of(replace(bearer, account_id=account_id, id=bearer_id), *samples)
            samples, fields = [account_id, bearer_id, *samples], [_ID, _ID, *fields]
        else:
            queryset = self.queryset_of(*samples)
        compiler = queryset.query.get_compiler(connection=connection)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None, None, None
        pairs = zip(fields, samples, strict=True)
        given = [_plain(field.get_db_prep_value(sample, connection)) for field, sample in pairs]
        plain = [_plain(value) for value in parameters]
        sources = [(given.index(value), None) if value in given else (None, value) for value in plain]
        return sql, sources, _builder(compiler)


_ID = models.UUIDField()


def _plain(value):
    return getattr(value, "obj", value)  # psycopg wraps bytes into an object that equals no other


def row_builder(queryset, using):
    """What makes a row, with the columns that a queryset selects, into an object.

    Returns:
        the columns' names, and a function of a row.
    """
    compiler = queryset.query.get_compiler(using=using)
    compiler.as_sql()
    return [column[0].target.column for column in compiler.select], _builder(compiler)


def _builder(compiler):
    """What makes a row of a compiled query into an object, as Django's own `ModelIterable` does."""
    fields, annotations = compiler.klass_info["select_fields"], compiler.annotation_col_map
    first, last = fields[0], fields[-1] + 1
    names = [column[0].target.attname for column in compiler.select[first:last]]
    model, using = compiler.klass_info["model"], compiler.using
    populators = get_related_populators(compiler.klass_info, compiler.select, using)
    converters = compiler.get_converters([column[0] for column in compiler.select[0 : compiler.col_count]])

    def build(row):
        row = next(compiler.apply_converters([row], converters)) if converters else row
        built = model.from_db(using, names, row[first:last])
        for populator in populators:
            populator.populate(row, built)
        for name, position in annotations.items():
            setattr(built, name, row[position])
        return built

    return build
