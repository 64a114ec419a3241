"""Tasks about pools, each with the number of clicks that it takes from the overview."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Token
from licensing.models import Policy
from pools.models import Key
from tests.cast import add_keys, numbered
from tests.console import page as address


def link(page, name, exact=False):
    return page.locator("main").get_by_role("link", name=name, exact=exact).first


def button(page, name):
    return page.get_by_role("button", name=name)


@pytest.fixture
def start(visit, operator):
    """Open the overview as an operator."""
    return lambda: visit.as_(operator)(address("index"))


def test_put_a_key_of_an_order_back_task_5(page, start, acme, audit, clicks):
    (key,) = add_keys(acme.policy, "KEY-AAAA-0001")
    acme.policy.pool.pop(audit)
    start()

    clicks(link(page, "Pooled", exact=True))
    clicks(link(page, key.masked))
    clicks(page.locator("main").get_by_role("link", name=re.compile("Put back|Return to pool")))
    clicks(page.get_by_role("checkbox"))
    clicks(button(page, re.compile("Put back|Return")))

    expect(page.get_by_role("alert")).to_have_count(0)
    assert acme.policy.pool.available().get() == key
    assert clicks.count <= 5


def test_hand_out_five_keys_task_7(page, start, acme, clicks):
    add_keys(acme.policy, *numbered(8))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    start()

    clicks(link(page, "Pooled", exact=True))
    clicks(link(page, "Hand out keys"))
    page.get_by_label("Number of keys").fill("5")
    page.get_by_label("Reference").fill("Partner Contoso")
    clicks(button(page, "Hand out keys"))
    clicks(button(page, "Copy"))

    expect(page.get_by_role("heading", name="5 keys for “Partner Contoso”")).to_be_visible()
    expect(page.get_by_text("5 keys left the pool, 3 remain.")).to_be_visible()
    expect(button(page, "Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").split() == numbered(5)
    assert clicks.count == 4


def test_change_the_alert_task_8(page, start, acme, clicks):
    add_keys(acme.policy, *numbered(30))
    start()

    clicks(link(page, "Pooled", exact=True))
    clicks(page.get_by_text("Alert off"))
    page.get_by_label("Alert at").fill("25")
    clicks(button(page, "Save alert"))

    expect(page.get_by_text("Alert at 25 keys left").first).to_be_visible()
    expect(page.get_by_role("heading", name="Pooled")).to_be_visible()
    acme.policy.refresh_from_db()
    assert acme.policy.low_stock_threshold == 25
    assert clicks.count == 3


def test_see_when_a_pool_will_be_empty_task_9(page, start, acme, audit, clicks):
    Policy.objects.filter(pk=acme.policy.pk).update(created=timezone.now() - timedelta(days=20))
    add_keys(acme.policy, *numbered(60))
    for days_ago in range(1, 20):
        key = acme.policy.pool.pop(audit)
        Key.objects.filter(pk=key.pk).update(popped=timezone.now() - timedelta(days=days_ago))
    start()

    clicks(link(page, "Pooled", exact=True))

    expect(page.get_by_text(re.compile(r"^\s*Gone (about|between) "))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Stock from"))).to_be_visible()
    assert clicks.count == 1


def test_from_nothing_to_a_pool_with_keys_task_10(page, start, acme, clicks):
    start()

    clicks(page.get_by_role("navigation").get_by_role("link", name="Pools").first)
    clicks(link(page, "New pool"))
    page.get_by_label("Name of the new product").fill("Sketchline")
    page.get_by_label("Name of the pool").fill("Retail")
    clicks(button(page, "Create pool"))
    page.get_by_role("textbox", name=re.compile("Paste")).fill("\n".join(numbered(20)))
    clicks(button(page, re.compile("Preview|Look at it")))
    clicks(button(page, re.compile("(Add|Import) 20 keys")))

    pool = Policy.objects.get(name="Retail")
    expect(page.get_by_text(re.compile("20 keys added|Imported")).first).to_be_visible()
    assert pool.product.name == "Sketchline"
    assert pool.pool.available().count() == 20
    assert clicks.count == 5


def test_make_a_token_and_copy_the_program_task_11(page, start, acme, clicks):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    start()

    clicks(link(page, "Pooled", exact=True))
    clicks(link(page, "Use it"))
    page.get_by_label("Name of the token").fill("Shop EU")
    clicks(button(page, "New token"))
    clicks(page.locator("section", has=page.get_by_role("heading", name="curl")).get_by_role("button", name="Copy"))

    expect(button(page, "Copied")).to_be_visible()
    program = page.evaluate("navigator.clipboard.readText()")
    assert re.search(rf"/v1/accounts/acme/policies/{acme.policy.pk}/pool .*Bearer prod-\w+", program, re.DOTALL)
    assert Token.objects.get(name="Shop EU").bearer == acme.product
    assert clicks.count == 4


def test_reload_and_back_make_no_second_token(page, start, visit, acme):
    start()
    visit(address("pools_pool_usage", acme.policy.pk))
    button(page, "New token").dblclick()
    token = page.locator("#secret").inner_text()

    page.reload()
    expect(page.locator("#secret")).to_have_text(token)
    page.go_back()
    button(page, "New token").click()

    expect(page.locator("#secret")).to_have_text(token)
    assert Token.objects.for_bearer(acme.product).count() == 1


def test_export_what_was_handed_out_last_month_task_13(page, start, acme, audit, clicks):
    add_keys(acme.policy, *numbered(3))
    key = acme.policy.pool.pop(audit)
    Key.objects.filter(pk=key.pk).update(popped=timezone.now().replace(day=1) - timedelta(days=3))
    start()

    clicks(link(page, "Pooled", exact=True))
    clicks(link(page, "Export keys"))
    with page.expect_download() as download:
        clicks(button(page, "Handed out last month"))

    text = download.value.path().read_text("utf-8-sig")
    assert "KEY-0001" in text
    assert "KEY-0002" not in text
    assert clicks.count == 3


def test_export_of_all_pools_at_once_task_13(page, start, acme, clicks):
    start()

    clicks(page.get_by_role("navigation").get_by_role("link", name="Pools").first)
    clicks(link(page, "Export keys"))
    with page.expect_download():
        clicks(button(page, "Handed out last month"))

    assert clicks.count == 3


def test_never_expires_turns_off_the_number(page, start, visit, acme):
    start()
    visit(address("pools_pool_add"))
    number = page.get_by_role("spinbutton", name="Number", exact=True)
    expect(number).to_be_disabled()

    page.get_by_label("never expires").uncheck()
    number.fill("2")
    page.get_by_label("Name of the new product").fill("Sketchline")
    page.get_by_label("Name of the pool").fill("Retail")
    button(page, "Create pool").click()

    expect(page.get_by_text("Pool Retail created. Add its keys.")).to_be_visible()
    assert Policy.objects.get(name="Retail").duration == 2 * 31_556_952


def test_terms_show_heartbeats_behind_one_link(page, start, visit, acme):
    start()
    visit(address("pools_pool_terms", acme.policy.pk))
    expect(page.get_by_label("Machines must send heartbeats")).to_be_hidden()

    page.get_by_text("Heartbeats of machines").click()

    expect(page.get_by_label("Machines must send heartbeats")).to_be_visible()
