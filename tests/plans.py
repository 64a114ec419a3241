"""Cost of PostgreSQL's plans: the rows that they look at."""

import json

from django.db import connection, transaction


def rows_in_vain(table, act):
    """The most rows that a step of a statement of `act` about a table has looked at in vain."""
    return max(in_vain(plan) for plan in plans_of(table, act))


def rows_read(table, act):
    """The most rows of a table that one scan of it in a statement of `act` returned or looked at in vain."""
    return max(read(table, plan) for plan in plans_of(table, act))


def scans(table, act):
    """How often the statements of `act` go through a table or one of its indexes, each start of a step counted."""
    return sum(started(table, plan) for plan in plans_of(table, act))


def started(table, step):
    own = step["Actual Loops"] if step.get("Relation Name") == table else 0
    return own + sum(started(table, each) for each in step.get("Plans", []))


def plans_of(table, act):
    """The plans of the statements of `act` that name a table. Changes of `act` are rolled back."""
    statements = []

    def note(execute, sql, parameters, many, context):
        if table in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note), transaction.atomic():
        act()
        transaction.set_rollback(True)
    assert statements
    return [explained(*statement) for statement in statements]


def explained(sql, parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
        transaction.set_rollback(True)
    return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]


def in_vain(step):
    return max(own_in_vain(step), *map(in_vain, step.get("Plans", [])), 0)


def own_in_vain(step):
    own = sum(step.get(f"Rows Removed by {kind}", 0) for kind in ("Filter", "Join Filter", "Index Recheck"))
    return own * step["Actual Loops"]


def read(table, step):
    own = 0
    if step.get("Relation Name") == table:
        own = step["Actual Rows"] * step["Actual Loops"] + own_in_vain(step)
    return max(own, *(read(table, each) for each in step.get("Plans", [])), 0)
