"""The activity in a browser: local times, UTC a click away, filters, and a file of the filtered entries."""

import csv
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from accounts.audit import AuditContext
from accounts.models import Activity
from keygen_site.db.uuids import uuid7_floor
from pools.services.keys import pop_keys
from tests.cast import add_keys, numbered, shop_audit
from tests.console import page as address


@pytest.fixture
def browser_context_args(browser_context_args):
    return {**browser_context_args, "timezone_id": "Asia/Tokyo", "viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def shop(acme):
    return shop_audit(acme.product, request_id="one request")


def test_actions_of_a_token_are_exported_as_a_file(page, visit, operator, acme, shop, clicks):
    add_keys(acme.policy, *numbered(12))
    pop_keys(policy=acme.policy, count=10, audit=shop)
    Activity.objects.record("changed", acme.policy, AuditContext(operator="manage.py test"))
    visit.as_(operator)("/admin/")
    clicks.link("Activity", exact=True)
    clicks.choose("Person or token", "Shop EU")
    clicks.button("Filter", exact=True)
    expect(page.locator("tr.entry")).to_have_count(1)
    expect(page.locator("tr.entry")).to_contain_text("handed out 10 keys")
    with page.expect_download() as download:
        clicks.button("Export CSV")

    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert len(rows) == 10
    assert {row["who"] for row in rows} == {"Rocket · Shop EU"}
    assert clicks.count == 5
    page.reload()
    page.get_by_text("Show them").click()
    expect(page.get_by_role("link", name="KE…07")).to_be_visible()


def test_times_are_local_and_utc_is_a_click_away(page, visit, operator, acme):
    time = datetime(2025, 11, 26, 20, tzinfo=UTC)
    entry = {"account": acme.account, "event": "changed", "noun": "account", "name": "Acme"}
    Activity.objects.create(id=uuid7_floor(time), created=time, **entry)

    visit.as_(operator)(address("activity"))
    expect(page.locator("tr.day")).to_have_text(re.compile("Thursday,? 27 November 2025"))
    expect(page.locator("tr.entry time")).to_have_text("05:00")
    page.get_by_role("button", name="Show UTC").click()

    expect(page.locator("tr.day")).to_have_text(re.compile("Wednesday,? 26 November 2025"))
    expect(page.locator("tr.entry time")).to_have_text("20:00")


def test_the_page_fits_a_phone(page, visit, operator, acme, shop):
    add_keys(acme.policy, *numbered(3))
    acme.policy.name = "A" * 255
    acme.policy.save()
    acme.policy.pool.pop(shop)
    page.set_viewport_size({"width": 390, "height": 844})

    visit.as_(operator)(address("activity"))

    expect(page.locator("tr.entry")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
