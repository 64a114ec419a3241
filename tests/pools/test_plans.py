"""How many keys PostgreSQL looks at for those that it finds. The table is one that it would rather walk through."""

import json
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from pools.models import Key
from tests.cast import make_policy
from tests.tables import each_row

OLD, MANY = 100, 3_000

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture
def pools(acme):
    """A product whose keys are all old and most of another's first keys popped: their policies by name."""
    old, most = (make_policy(acme.another_product(name), use_pool=True) for name in ("Old", "Most"))
    now = timezone.now()
    for policy, count, popped in ((old, OLD, None), (acme.policy, MANY, None), (most, MANY, now), (most, MANY, None)):
        add(policy, count, popped)
    add(acme.policy, MANY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pools_key")
    return {"old": old, "most": most}


def add(policy, count, popped=None):
    told = {"popped": popped, "disclosed": popped, "disclosure": "popped", "disclosed_to": ""} if popped else {}
    keys = (Key(account=policy.account, policy=policy, key=str(uuid4()), **told) for _ in range(count))
    Key.objects.bulk_create(keys)


def looked_at(act):
    """The most keys that a step of a statement of `act` has looked at in vain."""
    statements = []

    def note(execute, sql, parameters, many, context):
        if "pools_key" in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note), transaction.atomic():
        act()
        transaction.set_rollback(True)
    assert statements
    return max(in_vain(explained(*statement)) for statement in statements)


def explained(sql, parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
        transaction.set_rollback(True)
    return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]


def in_vain(step):
    own = sum(step.get(f"Rows Removed by {kind}", 0) for kind in ("Filter", "Join Filter", "Index Recheck"))
    return max(own * step["Actual Loops"], *map(in_vain, step.get("Plans", [])), 0)


class TestLooksAtNoMoreKeysThanItFinds:
    @each_row("policy", ["old", "most"])
    def test_plan_of_pop(self, pools, audit, policy):
        assert looked_at(lambda: pools[policy].pool.pop(audit)) < 50

    @each_row("policy", ["old", "most"])
    def test_telling_that_a_pool_is_empty(self, pools, policy):
        now = timezone.now()
        pools[policy].pool.update(popped=now, disclosed=now, disclosure="popped", disclosed_to="")

        assert looked_at(lambda: pools[policy].pool.available_in_order().first()) < 50

    @each_row("policy", ["old", "most"])
    @each_row("query", ["keys?policy={0.pk}", "keys?product={0.product_id}", "policies/{0.pk}/pool"])
    def test_plan_of_lists(self, acme, pools, api, policy, query):
        assert looked_at(lambda: api(acme.admin).get(query.format(pools[policy]))) < 50

    @each_row("policy", ["old", "most"])
    def test_list_of_a_product(self, pools, api, policy):
        assert looked_at(lambda: api(pools[policy].product).get("keys")) < 50
