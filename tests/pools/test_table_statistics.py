"""`ANALYZE` after a large import."""

import pytest
from django.db import connection

from pools.services import table_statistics
from pools.services.imports import import_keys
from tests.cast import numbered
from tests.pools.test_import_races import lines

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def counted(act):
    statements = []

    def note(execute, sql, parameters, many, context):
        statements.append((sql, connection.in_atomic_block))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        act()
    return [in_transaction for sql, in_transaction in statements if sql.startswith("ANALYZE")]


def test_they_are_refreshed_after_the_commit_of_a_large_import_only(acme, audit, monkeypatch):
    monkeypatch.setattr(table_statistics, "MANY_KEYS", 5)

    assert counted(lambda: import_keys(policy=acme.policy, files=[lines(numbered(4))], audit=audit)) == []
    large = [lines(numbered(9)[4:])]
    assert counted(lambda: import_keys(policy=acme.policy, files=large, audit=audit)) == [False]
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'pools_key'")
        assert cursor.fetchone() == (9,)
