"""An operator's tasks on the overview and in the inbox, with the number of clicks."""

import re

import pytest
from playwright.sync_api import expect

from licensing.models import Policy
from pools.services.keys import pop_keys
from tests.cast import add_keys, make_policy, make_product, numbered
from tests.console import page as address


@pytest.fixture
def two_pools(acme, audit):
    """A low pool that has handed out keys, and one with enough keys of another product."""
    Policy.objects.filter(pk=acme.policy.pk).update(low_stock_threshold=10)
    add_keys(acme.policy, *numbered(20))
    pop_keys(policy=acme.policy, count=12, audit=audit)
    other = make_policy(make_product(acme.account, "Sketchline"), "Home edition", use_pool=True)
    add_keys(other, *(f"OTHER-{number:04}" for number in range(20)))
    return acme.policy, other


def is_within_width(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_overview_says_which_pool_needs_keys_and_until_when(page, visit, operator, two_pools, clicks):
    visit.as_(operator)("/admin/")

    expect(page).to_have_title(re.compile(r"^\(1\) Overview"))
    expect(page.get_by_role("heading", name="1 pool needs you")).to_be_visible()
    expect(page.get_by_text(re.compile("8 left, gone (today|about|between)"))).to_be_visible()
    assert clicks.count == 0


def test_a_low_pool_is_refilled_from_the_overview(page, visit, operator, two_pools, clicks):
    visit.as_(operator)("/admin/")

    clicks(page.get_by_role("link", name="Import keys into Pooled").first)

    expect(page).to_have_url(re.compile(re.escape(address("pools_pendingimport_import", two_pools[0].pk))))
    assert clicks.count == 1


def test_the_numbers_of_the_chart_are_in_a_table(page, visit, operator, two_pools, clicks):
    visit.as_(operator)("/admin/")

    clicks(page.get_by_text("Show as a table"))

    expect(page.get_by_role("region", name="Keys handed out").get_by_role("row").nth(1)).to_contain_text("12")
    assert clicks.count == 1


def test_pools_are_filtered_by_product_and_shown_as_cards(page, visit, operator, two_pools, clicks):
    visit.as_(operator)("/admin/")

    clicks(page.locator(".filter summary", has_text="Product"))
    clicks(page.get_by_role("link", name="Sketchline"))
    clicks(page.get_by_role("link", name="Cards"))

    expect(page.locator("article.pool")).to_have_count(1)
    expect(page.locator("article.pool")).to_contain_text("Home edition")
    assert clicks.count == 3


def test_a_pool_is_muted_in_the_inbox(page, visit, operator, two_pools, clicks):
    visit.as_(operator)("/admin/")

    clicks(page.get_by_role("link", name="Inbox 1"))
    clicks(page.get_by_role("button", name="Mute Pooled until keys are added"))

    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    expect(page.locator(".bell .note")).to_have_count(0)
    assert clicks.count == 2


def test_the_first_run_has_a_line_to_copy(page, visit, operator, acme, clicks):
    add_keys(acme.policy, *numbered(3))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.as_(operator)("/admin/")

    clicks(page.get_by_role("button", name="Copy"))

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert f"/policies/{acme.policy.pk}/pool" in page.evaluate("navigator.clipboard.readText()")
    assert clicks.count == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_the_pages_fit(page, visit, operator, acme, two_pools, scheme, width):
    make_policy(acme.product, "W" * 120 + " \u202eright to left", use_pool=True, low_stock_threshold=1_000_000)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visit.as_(operator)
    for path in (address("index"), address("index", view="cards"), address("inbox")):
        visit(path)
        assert is_within_width(page), path


def test_the_overview_works_without_script(
    browser, live_server, operator, two_pools, browser_context_args, visit, page
):
    visit.as_(operator)
    context = browser.new_context(**{**browser_context_args, "java_script_enabled": False})
    context.add_cookies(page.context.cookies())
    plain = context.new_page()
    plain.goto(live_server.url + address("index"))

    plain.get_by_text("Show as a table").click()
    plain.locator("#pool-name").fill("home")
    plain.get_by_role("button", name="Filter").click()

    expect(plain.locator(".pool-table tbody tr")).to_have_count(1)
    context.close()
