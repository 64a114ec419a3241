"""The indexes by which SQLite, which has no statistics here, reads the keys of a pool."""

import pytest
from django.db import connection

from tests.cast import add_keys, numbered

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db]


@pytest.mark.parametrize("who", ["admin", "product"])
@pytest.mark.parametrize("path", ["policies/{}/pool", "policies/{}/pool?page[size]=5&page[number]=1", "keys?policy={}"])
def test_keys_of_a_pool_are_read_in_the_order_of_its_index(acme, api, who, path):
    add_keys(acme.policy, *numbered(3))
    statements = []

    def note(execute, sql, parameters, many, context):
        if "ORDER BY" in sql and "pools_key" in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        response = api(getattr(acme, who)).get(path.format(acme.policy.pk))

    assert len(response.json()["data"]) == 3
    ((sql, parameters),) = statements
    with connection.cursor() as cursor:
        plan = " ".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall())
    assert "pools_key_waiting" in plan
    assert "TEMP B-TREE" not in plan
