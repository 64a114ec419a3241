"""The indexes by which SQLite, which has no statistics here, reads keys and what the console shows of them."""

from typing import NamedTuple

import pytest
from django.db import connection
from django.utils import timezone

from pools.services.imports import import_keys
from pools.services.stock_history import stock_history
from tests.cast import add_keys, make_license, numbered
from tests.console import page, signed_in, staff
from tests.licensing.entitlements import attach, make_entitlement
from tests.pools.test_import import lines

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db]


class Query(NamedTuple):
    """A query that a test has observed, and SQLite's plan for it."""

    sql: str
    plan: str


def observed(table, act):
    """The result of a function, and its queries of a table."""
    statements = []

    def note(execute, sql, parameters, many, context):
        if sql.startswith("SELECT") and f'FROM "{table}"' in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        result = act()
    with connection.cursor() as cursor:
        return result, [
            Query(sql, " ".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()))
            for sql, parameters in statements
        ]


@pytest.mark.parametrize("who", ["admin", "product"])
@pytest.mark.parametrize("path", ["policies/{}/pool", "policies/{}/pool?page[size]=5&page[number]=1", "keys?policy={}"])
def test_keys_of_a_pool_are_read_in_the_order_of_its_index(acme, api, who, path):
    add_keys(acme.policy, *numbered(3))
    response, queries = observed("pools_key", lambda: api(getattr(acme, who)).get(path.format(acme.policy.pk)))

    assert len(response.json()["data"]) == 3
    (query,) = (query for query in queries if "ORDER BY" in query.sql)
    assert "pools_key_waiting" in query.plan
    assert "TEMP B-TREE" not in query.plan


class TestConsole:
    @pytest.fixture
    def client(self, acme):
        return signed_in(staff(acme, email="ann@acme.test"))

    @pytest.mark.parametrize("state", ["", "&state=available"])
    def test_keys_of_an_import_are_read_in_the_order_of_its_index(self, acme, audit, client, state):
        for texts in (["KEY-0003", "KEY-0001", "KEY-0002"], ["KEY-0005", "KEY-0004"]):
            report = import_keys(policy=acme.policy, files=[lines(*texts)], audit=audit)
            url = f"{page('pools_key_changelist')}?policy={acme.policy.pk}&import={report.key_import.pk}{state}"
            response, queries = observed("pools_key", lambda url=url: client.get(url))

            assert [key.key for key in response.context["cl"].result_list] == texts
            count, listed = (query for query in queries if 'key_import_id" = %s' in query.sql)
            assert "pools_key_key_import" in count.plan
            assert "pools_key_key_import" in listed.plan
            assert "TEMP B-TREE" not in count.plan + listed.plan

    def test_history_of_a_pool_reads_the_events_of_imports(self, acme, audit):
        """Not those of the pool, which include each pop."""
        for number in range(3):
            import_keys(policy=acme.policy, files=[lines(f"KEY-{number}-A", f"KEY-{number}-B")], audit=audit)
        today = timezone.now().date()
        _, queries = observed(
            "pools_keyevent",
            lambda: stock_history(acme.policy, available=6, today=today, handed_out_today=0, days=30),
        )

        assert len(queries) == 2
        assert all("pools_keyevent_import" in query.plan for query in queries)

    def test_licenses_with_an_entitlement_are_read_in_their_order(self, acme, client):
        entitlement = make_entitlement(acme.account)
        licenses = [make_license(acme.unpooled) for _ in range(3)]
        for license in licenses:
            attach(license, entitlement)
        url = page("licensing_entitlement_change", entitlement.pk)
        response, queries = observed("licensing_license", lambda: client.get(url))

        assert response.context["licenses"] == licenses[::-1]
        (query,) = queries
        assert "TEMP B-TREE" not in query.plan
