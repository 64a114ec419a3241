"""The page with the activity: the ledger of keys and all other changes as one stream."""

import csv
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Activity, Token
from keygen_site.db.uuids import uuid7_floor
from licensing.services import issue_license
from pools.models import KeyEvent
from pools.services.exports import export_keys
from pools.services.keys import pop_keys, replace_key, withdraw_key
from tests.cast import add_keys, make_license, numbered, shop_audit
from tests.console import GROUPS, page, signed_in, staff, superuser
from tests.tables import each_row


@pytest.fixture
def by_ann(ann):
    return AuditContext(operator=ann.email, operator_id=ann.pk, request_id="request-of-ann")


@pytest.fixture
def by_shop(acme):
    return shop_audit(acme.product)


def lines_of(response):
    """The lines of the page as `(actor, action, pool, reference)`, newest first."""
    rows = re.findall(r'<tr class="entry">(.*?)</tr>', response.content.decode(), re.S)
    return [tuple(text_of(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)[1:5]) for row in rows]


def text_of(html):
    html = re.sub(r"<details>.*?</details>", "", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def activity(client, **query):
    response = client.get(page("activity", **query))
    assert response.status_code == 200
    return lines_of(response)


def test_the_stream_has_keys_and_all_other_changes_in_their_order(acme, client, by_ann, by_shop):
    add_keys(acme.policy, *numbered(5))
    acme.policy.pool.pop(by_shop)
    license = issue_license(policy=acme.policy, audit=by_ann, owner=acme.user(), name="Home")
    Activity.objects.record("suspended", license, by_ann)
    replace_key(policy=acme.policy, text="KEY-0001", audit=by_ann, reason="defective")
    list(export_keys(policy=acme.policy, audit=by_ann, state="popped"))

    assert activity(client) == [
        ("ann@acme.test", "exported 2 keys (handed out)", "Pooled", ""),
        ("ann@acme.test", "replaced KE…01 by KE…03 “defective”", "Pooled", "Order 1"),
        ("ann@acme.test", "handed out KE…03", "Pooled", "Order 1"),
        ("ann@acme.test", "suspended license Home", "Pooled", "user@acme.test"),
        ("ann@acme.test", "issued KE…02 as Home", "Pooled", "user@acme.test"),
        ("Rocket · Shop EU", "handed out KE…01", "Pooled", "Order 1"),
    ]


def test_nouns_are_links(acme, client, by_shop):
    (key,) = add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(by_shop)

    text = client.get(page("activity")).content.decode()

    for name, row in (
        ("pools_key", key),
        ("licensing_product", acme.product),
        ("accounts_token", Token.objects.get(name="Shop EU")),
    ):
        assert f'href="{page(f"{name}_change", row.pk)}"' in text
    assert re.search(rf'href="[^"]*{acme.policy.pk}[^"]*"', text)
    (sealed,) = re.findall(rf'href="({page("activity")}\?reference=~[^"]*)"', text)
    assert 'value="Order 1"' in client.get(sealed).content.decode()


@each_row("group", ["Support", "Auditor"])
def test_pages_that_an_operator_may_not_open_are_no_links(acme, by_shop, group):
    Activity.objects.record("created", Token.objects.get(name="Shop EU"), by_shop)

    response = signed_in(staff(acme, group)).get(page("activity"))

    assert "Shop EU" in response.content.decode()
    assert page("accounts_token_change", Token.objects.get(name="Shop EU").pk) not in response.content.decode()


def test_deleted_objects_are_shown_by_name(acme, client, by_ann, by_shop):
    license = make_license(acme.unpooled, name="Home")
    product = acme.another_product("Sketchline")
    for event, row in (("created", product), ("revoked", license)):
        Activity.objects.record(event, row, by_shop, bearer_name="Rocket")
    acme.another_product("x")
    add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(by_ann)
    license.delete()
    product.delete()
    acme.policy.pool.all().delete()

    assert [what for _, what, _, _ in activity(client)] == [
        "handed out a deleted key",
        "revoked license Home",
        "created product Sketchline",
    ]


def test_events_of_one_request_are_one_line(acme, client, by_ann):
    add_keys(acme.policy, *numbered(12))
    pop_keys(policy=acme.policy, count=10, audit=by_ann)
    withdraw_key(policy=acme.policy, text="KEY-0011", audit=by_ann)

    response = client.get(page("activity"))

    assert [what for _, what, _, _ in lines_of(response)] == ["retired KE…11", "handed out 10 keys"]
    assert all(f"KE…{number:02}" in response.content.decode() for number in range(1, 11))


def test_no_key_is_shown_in_clear(acme, client, by_ann):
    add_keys(acme.policy, *numbered(3))
    issue_license(policy=acme.policy, audit=by_ann)
    acme.policy.pool.pop(by_ann)

    text = client.get(page("activity")).content.decode() + file_of(client)

    assert not re.search(r"KEY-\d{4}", text)


@each_row(
    ("query", "expected"),
    [
        ({"kind": "keys"}, ["issued", "popped", "popped"]),
        ({"kind": "exports"}, ["exported", "exported list"]),
        ({"kind": "licenses"}, ["suspended license", "issued"]),
        ({"kind": "people"}, ["banned user"]),
        ({"kind": "settings"}, ["changed policy"]),
        ({"kind": "tokens"}, []),
        ({"policy": "unpooled"}, ["suspended license"]),
        ({"policy": "policy", "kind": "settings"}, ["changed policy"]),
        ({"who": "ann"}, ["exported", "suspended license", "issued"]),
        ({"who": "shop"}, ["popped"]),
        ({"who": "token"}, ["popped"]),
        ({"who": "ann", "kind": "licenses"}, ["suspended license", "issued"]),
        ({"reference": "Order 1"}, ["popped"]),
        ({"reference": "Order 1", "kind": "licenses"}, []),
        ({"reference": "Order"}, []),
        ({"since": "2020-01-01", "until": "2021-01-01"}, []),
        ({"kind": "nothing"}, None),
        ({"since": "yesterday"}, None),
    ],
)
def test_filters(acme, ann, client, by_ann, by_shop, query, expected):
    command = AuditContext(operator="manage.py test")
    add_keys(acme.policy, *numbered(5))
    acme.policy.pool.pop(by_shop)
    acme.policy.pool.pop(command)
    issue_license(policy=acme.policy, audit=by_ann)
    Activity.objects.record("changed", acme.policy, command)
    Activity.objects.record("banned", acme.user(), command)
    Activity.objects.record("suspended", make_license(acme.unpooled), by_ann)
    client.post(page("licensing_license_csv"))
    Activity.objects.filter(noun="list").update(operator_id=None)
    list(export_keys(policy=acme.policy, audit=by_ann))
    named = {
        "unpooled": acme.unpooled.pk,
        "policy": acme.policy.pk,
        "ann": ann.pk,
        "shop": acme.product.pk,
        "token": by_shop.token_id,
    }

    response = client.get(page("activity"), {name: named.get(value, value) for name, value in query.items()})

    if expected is None:
        assert 'class="errornote"' in response.content.decode()
        assert len(lines_of(response)) == 8
    else:
        assert shown(response) == expected


def shown(response):
    """The events of the page, with the nouns of those that are not of keys."""
    entries = [line.id for _, lines in response.context["days"] for line in lines]
    found = {event.pk: event.event for event in KeyEvent.objects.filter(pk__in=entries)}
    found |= {each.pk: f"{each.event} {each.noun}" for each in Activity.objects.filter(pk__in=entries)}
    return [found[pk] for pk in entries]


def test_dates_are_days_of_utc(acme, client):
    for day in (25, 26, 27):
        time = datetime(2026, 11, day, 12, tzinfo=UTC)
        pk = uuid7_floor(time)
        Activity.objects.create(
            id=pk, created=time, account=acme.account, event="changed", noun="account", name=str(day)
        )

    lines = activity(client, since="2026-11-26", until="2026-11-26")

    assert [what for _, what, _, _ in lines] == ["changed account 26"]


def test_pages_go_back_to_the_first_entry(acme, client, monkeypatch):
    monkeypatch.setattr("pools.admin.activity.PAGE_LINES", 7)
    for number in range(20):
        add_keys(acme.policy, f"KEY-{number:04}")
        Activity.objects.record("changed", acme.account, AuditContext(operator=f"change {number}"))
        acme.policy.pool.pop(AuditContext(operator=f"pop {number}"))

    found, address = [], page("activity")
    while address:
        response = client.get(address)
        found += [who for who, *_ in lines_of(response)]
        assert len(lines_of(response)) <= 7
        address = response.context["older"] and page("activity") + response.context["older"]

    assert found == [name for number in range(19, -1, -1) for name in (f"pop {number}", f"change {number}")]


def test_a_filter_without_an_index_looks_at_some_entries_and_says_so(acme, client, by_ann, monkeypatch):
    monkeypatch.setattr("pools.services.activity.WINDOW", 5)
    add_keys(acme.policy, *numbered(13))
    issue_license(policy=acme.policy, audit=by_ann)
    for _ in range(12):
        acme.policy.pool.pop(AuditContext(operator="shop"))

    found, pages, address = [], 0, page("activity", kind="licenses")
    while address and pages < 9:
        response = client.get(address)
        found += lines_of(response)
        pages += 1
        assert bool(response.context["older"]) == ("Look further back" in response.content.decode())
        address = response.context["older"] and page("activity") + response.context["older"]

    assert [what for _, what, _, _ in found] == ["issued KE…01 as a license"]
    assert pages == 3


def test_activity_of_another_account_is_out_of_sight(acme, rival, client, by_ann):
    (key,) = add_keys(rival.policy, "RIVAL-SECRET-1")
    theirs = AuditContext(operator="secret@rival.test", operator_id=rival.admin.pk, reference="Secret order")
    rival.policy.pool.pop(theirs)
    Activity.objects.record("changed", rival.product, theirs)
    Activity.objects.record("signed-in", superuser(), theirs)
    Activity.objects.record("changed", acme.product, by_ann)
    queries = [
        {},
        {"policy": rival.policy.pk},
        {"who": rival.admin.pk},
        {"account": rival.account.pk},
        {"reference": "Secret order"},
        {"kind": "keys"},
    ]

    for query in queries:
        shown = client.get(page("activity"), query).content.decode() + file_of(client, **query)
        text = re.sub("Secret.order", "", shown)  # the query, which the page repeats
        assert "secret" not in text.lower()
        assert "rival" not in text.lower().replace(str(rival.account.pk), "")


def test_superusers_see_all_accounts_or_one(acme, rival, by_ann):
    Activity.objects.record("changed", acme.product, by_ann)
    Activity.objects.record("changed", rival.product, by_ann)
    client = signed_in(superuser())

    assert len(activity(client)) == 2
    assert len(activity(client, account=rival.account.pk)) == 1
    assert len(activity(client, who=by_ann.operator_id)) == 2


@each_row("name", ["activity", "activity_csv"])
def test_activity_needs_its_permission(acme, name):
    person = staff(acme)
    person.groups.clear()
    client = signed_in(person)

    assert (client.post if name == "activity_csv" else client.get)(page(name)).status_code == 403


@each_row("group", GROUPS)
def test_all_groups_see_it(acme, group):
    assert signed_in(staff(acme, group)).get(page("activity")).status_code == 200


def test_an_empty_activity_says_what_will_be_there(acme, client):
    assert "Nothing has happened yet" in client.get(page("activity")).content.decode()


# The file ------------------------------------------------------------------------------------------------------------


def file_of(client, **query):
    response = client.post(f"{page('activity_csv')}?{urlencode(query)}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(response).decode("utf-8-sig")


def test_the_file_has_the_filtered_entries(acme, client, by_ann, by_shop, monkeypatch):
    monkeypatch.setattr("pools.services.activity.EXPORT_PAGE_ENTRIES", 2)
    add_keys(acme.policy, *numbered(8))
    for _ in range(5):
        acme.policy.pool.pop(by_shop)
    Activity.objects.record("changed", acme.product, by_ann)

    rows = list(csv.DictReader(file_of(client, who=acme.product.pk).splitlines()))

    assert [row["what"] for row in rows] == [f"handed out KE…{number:02}" for number in range(5, 0, -1)]
    assert {(row["who"], row["pool"], row["reference"]) for row in rows} == {("Rocket · Shop EU", "Pooled", "Order 1")}
    assert datetime.fromisoformat(rows[0]["time"]) <= timezone.now()
    entry = Activity.objects.latest("id")
    assert (entry.event, entry.noun, entry.name) == ("exported", "list", "Activity")
    assert entry.details == {"filter": {"who": str(acme.product.pk)}, "count": 5}


def test_the_file_runs_no_formula(acme, client):
    add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(AuditContext(operator="x", reference='=HYPERLINK("http://evil.test")'))

    (row,) = csv.DictReader(file_of(client, kind="keys").splitlines())

    assert row["reference"] == '\'=HYPERLINK("http://evil.test")'


def test_the_file_comes_by_post_only(acme, client):
    assert client.get(page("activity_csv")).status_code == 405
    assert not Activity.objects.exists()


def test_days_are_named(acme, client):
    day = timezone.now() - timedelta(days=1)
    Activity.objects.create(id=uuid7_floor(day), created=day, account=acme.account, event="changed", noun="account")

    assert "Yesterday" in client.get(page("activity")).content.decode()
