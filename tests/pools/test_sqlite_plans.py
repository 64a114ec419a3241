"""The indexes by which SQLite, which has no statistics here, reads keys and what the console shows of them."""

import pytest
from django.db import connection
from django.utils import timezone

from pools.services.imports import import_keys
from pools.services.stock_history import _count_removed
from tests.cast import add_keys, make_license, numbered
from tests.console import page, signed_in, staff
from tests.licensing.entitlements import attach, make_entitlement
from tests.pools.test_import import lines

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db]


def plans_of(table, act):
    """The result of a function, and the plans of its statements that read a table in an order or for a filter."""
    statements = []

    def note(execute, sql, parameters, many, context):
        if sql.startswith("SELECT") and f'FROM "{table}"' in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        result = act()
    with connection.cursor() as cursor:
        plans = [
            " ".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall())
            for sql, parameters in statements
        ]
    return result, plans


@pytest.mark.parametrize("who", ["admin", "product"])
@pytest.mark.parametrize("path", ["policies/{}/pool", "policies/{}/pool?page[size]=5&page[number]=1", "keys?policy={}"])
def test_keys_of_a_pool_are_read_in_the_order_of_its_index(acme, api, who, path):
    add_keys(acme.policy, *numbered(3))
    response, plans = plans_of("pools_key", lambda: api(getattr(acme, who)).get(path.format(acme.policy.pk)))

    assert len(response.json()["data"]) == 3
    assert any("pools_key_waiting" in plan for plan in plans)
    assert not any("TEMP B-TREE" in plan for plan in plans)


class TestConsole:
    @pytest.fixture
    def client(self, acme):
        return signed_in(staff(acme, email="ann@acme.test"))

    @pytest.mark.parametrize("state", ["", "&state=available"])
    def test_keys_of_an_import_are_read_in_the_order_of_its_index(self, acme, audit, client, state):
        for texts in (["KEY-0003", "KEY-0001", "KEY-0002"], ["KEY-0005", "KEY-0004"]):
            report = import_keys(policy=acme.policy, files=[lines(*texts)], audit=audit)
            url = f"{page('pools_key_changelist')}?policy={acme.policy.pk}&import={report.key_import.pk}{state}"
            response, plans = plans_of("pools_key", lambda url=url: client.get(url))

            assert [key.key for key in response.context["cl"].result_list] == texts
            assert any("pools_key_key_import" in plan for plan in plans)
            assert not any("TEMP B-TREE" in plan for plan in plans)

    def test_removals_of_imports_are_found_among_the_events_of_imports(self, acme, audit):
        """Not among those of the pool, which has each pop."""
        for number in range(3):
            import_keys(policy=acme.policy, files=[lines(f"KEY-{number}-A", f"KEY-{number}-B")], audit=audit)
        _, (plan,) = plans_of("pools_keyevent", lambda: _count_removed(acme.policy, timezone.now().date()))

        assert "pools_keyevent_import" in plan

    def test_licenses_with_an_entitlement_are_read_in_their_order(self, acme, client):
        entitlement = make_entitlement(acme.account)
        licenses = [make_license(acme.unpooled) for _ in range(3)]
        for license in licenses:
            attach(license, entitlement)
        url = page("licensing_entitlement_change", entitlement.pk)
        response, plans = plans_of("licensing_license", lambda: client.get(url))

        assert response.context["licenses"] == licenses[::-1]
        assert not any("TEMP B-TREE" in plan for plan in plans)
