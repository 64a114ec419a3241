"""How many keys PostgreSQL looks at for those that it finds. The table is one that it would rather walk through."""

import json
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from pools.models import Key, KeyEvent, KeyImport
from pools.services.activity import PAGE_ENTRIES, Filters, read_page
from pools.services.import_outlook import count_batch
from tests.cast import make_company, make_policy
from tests.plans import plans_of, read, rows_in_vain, rows_read, scans
from tests.tables import each_row

OLD, MANY = 100, 3_000

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture(scope="module")
def acme(module_transaction):
    return make_company("acme")


@pytest.fixture(scope="module")
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
    return rows_in_vain("pools_key", act)


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


@pytest.fixture(scope="module")
def ledger(acme, pools):
    """The pools, and the ledger's newest events are pops of another pool than the old one."""
    for policy, event, count in ((pools["old"], "added", MANY), (acme.policy, "popped", 4 * MANY)):
        told = {"account": acme.account, "product": policy.product, "policy": policy, "event": event}
        KeyEvent.objects.bulk_create((KeyEvent(**told) for _ in range(count)), batch_size=1_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pools_keyevent")
    return pools


@each_row("query", ["policy={0.pk}", "event=added", "policy={0.pk}&event=added", "event=added&limit=1"])
def test_events_of_an_old_pool_or_a_rare_kind_are_found_by_an_index(acme, ledger, api, query):
    client, url = api(acme.admin), f"key-events?{query.format(ledger['old'])}"
    found = [row["id"] for row in client.get(url).json()["data"]]

    assert len(found) == (1 if "limit" in query else 10)
    assert found == sorted(found, reverse=True)
    assert rows_in_vain("pools_keyevent", lambda: client.get(url)) < 50


@each_row(
    "url",
    [
        "key-events?policy={policy.pk}&page[cursor]={cursor}",
        "key-events?policy={policy.pk}&page[cursor]={cursor}&page[size]=100",
    ],
)
def test_page_after_a_cursor_starts_there(acme, ledger, api, url):
    policy = ledger["old"]
    events = KeyEvent.objects.filter(policy=policy).order_by("-id").values_list("pk", flat=True)
    url = url.format(policy=policy, cursor=events[MANY // 2])
    client, size = api(acme.admin), 100 if "size" in url else 10

    found = [row["id"] for row in client.get(url).json()["data"]]
    assert found == [str(pk) for pk in events[MANY // 2 + 1 : MANY // 2 + 1 + size]]
    assert rows_read("pools_keyevent", lambda: client.get(url)) <= size + 50


@each_row("url", ["keys?policy={0.pk}&", "keys?product={0.product_id}&", "policies/{0.pk}/pool?"])
@each_row("order", ["desc", "asc"])
def test_page_of_keys_after_a_cursor_starts_there(acme, pools, api, url, order):
    keys = pools["most"].pool.available().order_by("id" if order == "asc" else "-id")
    own = [str(pk) for pk in keys.values_list("pk", flat=True)]
    client, middle = api(acme.admin), len(own) // 2
    url = f"{url.format(pools['most'])}page[cursor]={own[middle]}&page[size]=10&order={order}"

    assert [row["id"] for row in client.get(url).json()["data"]] == own[middle + 1 : middle + 11]
    assert starts_in_index("pools_key", lambda: client.get(url))


@each_row("query", ["since={0}", "until={0}", "since={0}&until={0}", "page[cursor]={1}", "until={0}&page[cursor]={1}"])
def test_events_of_a_pool_are_read_between_the_bounds(acme, ledger, api, query):
    policy = ledger["old"]
    middle = KeyEvent.objects.filter(policy=policy).order_by("id")[MANY // 2]
    url = f"key-events?policy={policy.pk}&{query.format(middle.created.isoformat().replace('+00:00', 'Z'), middle.pk)}"

    assert starts_in_index("pools_keyevent", lambda: api(acme.admin).get(url))


def starts_in_index(table, act):
    """Whether an index by policy and id is read from an id on, not from the first or last row of the policy."""
    return any("ROW(policy_id, id)" in bound for plan in plans_of(table, act) for bound in bounds_of(plan))


def bounds_of(step):
    """The conditions by which indexes are read."""
    return [step.get("Index Cond", ""), *(each for child in step.get("Plans", []) for each in bounds_of(child))]


def test_export_of_an_old_pool_reads_each_event_once(acme, ledger, api, monkeypatch):
    monkeypatch.setattr("pools.services.ledger.PAGE_SIZE", 100)
    client = api(acme.admin)
    url = f"key-events/actions/export?format=ndjson&policy={ledger['old'].pk}"

    ids = [json.loads(line)["id"] for line in b"".join(client.get(url)).splitlines()]
    assert len(ids) == MANY
    assert ids == sorted(ids, reverse=True)
    # All pages but the first, which may pass the newer events of other pools once.
    pages = plans_of("pools_keyevent", lambda: b"".join(client.get(url)))[1:]
    assert max(read("pools_keyevent", page) for page in pages) <= 150


def test_activity_of_an_old_pool_is_found_by_an_index(acme, ledger):
    filters = Filters(account=acme.account.pk, policy=ledger["old"].pk)

    entries = read_page(filters).entries
    assert len(entries) == PAGE_ENTRIES
    assert [entry.pk for entry in entries] == sorted((entry.pk for entry in entries), reverse=True)
    assert rows_in_vain("pools_keyevent", lambda: read_page(filters)) < 50


def test_kind_of_rare_events_is_no_parameter(acme, api):
    """For a parameter PostgreSQL cannot use the index of rare events, once it keeps one plan for all values."""
    statements = []

    def note(execute, sql, parameters, many, context):
        statements.append(sql)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        api(acme.admin).get("key-events?event=added")

    assert any("IN ('added', " in sql for sql in statements)


def test_counting_a_large_import_looks_at_each_key_once(pools, acme, monkeypatch):
    monkeypatch.setattr("pools.services.import_outlook.MAX_COUNTED_KEYS", 100)
    key_import = KeyImport(account=acme.account, policy=acme.policy, added=2 * MANY)

    assert scans("pools_key", lambda: count_batch(key_import)) == 1
