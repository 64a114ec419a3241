"""A query that is compiled once, for the one that every request begins with.

Django compiles a query anew each time it runs, which costs several times what the database needs for it (the profile
is in `benchmarks/README.md`). Here the SQL and the way from a row to objects are kept, for each thread.
"""

import threading

from django.db import connection
from django.db.models.query import get_related_populators


class Prepared:
    """`Prepared(queryset_of, field)`: the query that `queryset_of(value)` makes, whose only parameter is the value.

    `field` says how the value is given to the database.
    """

    def __init__(self, queryset_of, field, sample):
        self.queryset_of, self.field, self.sample = queryset_of, field, sample
        self.local = threading.local()

    def first(self, value):
        """The first row for a value as a model instance, with all that the queryset selects, or None."""
        sql, build = self._compiled()
        with connection.cursor() as cursor:
            cursor.execute(sql, [self.field.get_db_prep_value(value, connection)])
            row = cursor.fetchone()
        return row and build(row)

    def _compiled(self):
        compiled = getattr(self.local, "compiled", None)
        if compiled is None:
            compiler = self.queryset_of(self.sample).query.get_compiler(connection=connection)
            sql, parameters = compiler.as_sql()
            if len(parameters) != 1:
                raise ValueError(f"a prepared query has one parameter, not {len(parameters)}")
            compiled = self.local.compiled = sql, _builder(compiler)
        return compiled


def _builder(compiler):
    """What makes a row of a compiled query into an object, as Django's own `ModelIterable` does."""
    fields, annotations = compiler.klass_info["select_fields"], compiler.annotation_col_map
    first, last = fields[0], fields[-1] + 1
    names = [column[0].target.attname for column in compiler.select[first:last]]
    model, using = compiler.klass_info["model"], connection.alias
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
