"""The search of the console, with mouse and keyboard. Clicks are counted from the overview."""

import pytest
from playwright.sync_api import expect

from accounts.audit import AuditContext
from pools.models import Key
from tests.cast import add_keys, make_license
from tests.console import page as address

LONG = ["SKL3A-BCDEF-GHIJK-LMNOP-QE54L", "SKL3B-BCDEF-GHIJK-LMNOP-QX77M", "SKL3C-BCDEF-GHIJK-LMNOP-QY88N"]


@pytest.fixture
def sold(acme):
    """Two keys of one order, and one of another."""
    keys = add_keys(acme.policy, *LONG)
    for reference in ("Order 10780", "Order 10780", "SHOP-500421"):
        acme.policy.pool.pop(AuditContext(reference=reference))
    return keys


def field(page):
    return page.get_by_role("searchbox", name="Find a key")


def search(page, text):
    field(page).fill(text)
    field(page).press("Enter")


@pytest.mark.parametrize("text", [LONG[2], LONG[2].lower().replace("-", ""), "SHOP-500421"])
def test_who_got_a_key_takes_one_click(page, visit, operator, sold, clicks, text):
    visit.as_(operator)("/admin/")

    clicks(field(page))
    search(page, text)

    page.wait_for_url(f"**{address('pools_key_change', sold[2].pk)}")
    expect(page.get_by_text("SHOP-500421").first).to_be_visible()
    assert clicks.count == 1


def test_all_keys_of_an_order_take_one_click(page, visit, operator, sold, clicks):
    visit.as_(operator)("/admin/")

    clicks(field(page))
    search(page, "10780")

    expect(page.get_by_role("link", name="Order 10780 2 keys")).to_be_visible()
    for shown in ("SKL3…E54L", "SKL3…X77M"):
        expect(page.get_by_role("link", name=shown)).to_be_visible()
    assert clicks.count == 1
    assert "10780" not in page.url


def test_a_license_by_a_part_of_an_email_takes_two_clicks(page, visit, operator, acme, clicks):
    owner = acme.user("user", email="customer25@example.com", first_name="Jana", last_name="Novák")
    license = make_license(acme.unpooled, name="Studio", owner=owner)
    visit.as_(operator)("/admin/")

    clicks(field(page))
    search(page, "customer25")
    clicks(page.get_by_role("link", name="Studio"))

    page.wait_for_url(f"**{address('licensing_license_change', license.pk)}")
    assert clicks.count == 2


def test_search_needs_no_mouse(page, visit, operator, sold):
    visit.as_(operator)(address("pools_keyimport_changelist"))
    page.keyboard.press("/")
    expect(field(page)).to_be_focused()
    page.keyboard.type("10780")
    page.keyboard.press("Enter")

    hits = page.locator(".hit")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(field(page)).to_be_focused()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_be_focused()
    page.keyboard.press("Enter")

    page.wait_for_url(f"**{address('pools_key_change', Key.objects.order_by('pk').first().pk)}")


def test_a_slash_in_a_field_is_a_slash(page, visit, operator, sold):
    visit.as_(operator)(address("licensing_product_add"))
    page.get_by_label("Name").first.fill("A")

    page.get_by_label("Name").first.press("/")

    expect(page.get_by_label("Name").first).to_have_value("A/")


def test_results_survive_reload_and_back(page, visit, operator, sold):
    visit.as_(operator)("/admin/")
    search(page, "10780")
    results = page.get_by_role("link", name="Order 10780 2 keys")
    expect(results).to_be_visible()

    page.reload()
    expect(results).to_be_visible()
    expect(field(page)).to_have_value("10780")
    page.get_by_role("link", name="SKL3…E54L").click()
    page.wait_for_url("**/pools/key/**")
    page.go_back()
    expect(results).to_be_visible()
    page.go_back()
    page.wait_for_url("**/admin/")


def test_nothing_found_leaves_the_text_in_the_field(page, visit, operator):
    visit.as_(operator)("/admin/")
    search(page, "SKL3Z-NOPE")

    expect(page.get_by_text("No results for")).to_be_visible()
    expect(field(page)).to_have_value("SKL3Z-NOPE")
    expect(field(page)).to_be_focused()


def test_a_list_is_searched_without_an_address_that_tells(page, visit, operator, acme):
    make_license(acme.unpooled, key="ABCDEF-GHIJKL-123456-V3", name="Studio")
    make_license(acme.unpooled, name="Another")
    visit.as_(operator)(address("licensing_license_changelist"))
    page.locator("#searchbar").fill("abcdefghijkl123456v3")
    page.locator("#searchbar").press("Enter")

    expect(page.get_by_text("Another")).to_have_count(0)
    expect(page.get_by_text("Studio").first).to_be_visible()
    assert "abcdef" not in page.url.lower()
    expect(page.locator("#searchbar")).to_have_value("abcdefghijkl123456v3")


class TestWithoutScript:
    @pytest.fixture
    def browser_context_args(self, browser_context_args):
        return {**browser_context_args, "java_script_enabled": False}

    def test_search_needs_no_script(self, page, visit, operator, sold):
        visit.as_(operator)("/admin/")
        search(page, "10780")

        expect(page.get_by_role("link", name="Order 10780 2 keys")).to_be_visible()


def test_a_phone_has_the_search(page, visit, operator, sold):
    page.set_viewport_size({"width": 390, "height": 844})
    visit.as_(operator)("/admin/")
    page.get_by_role("navigation", name="Menu", exact=True).get_by_role("link", name="Find").click()
    expect(field(page)).to_be_focused()
    search(page, "10780")

    expect(page.get_by_role("link", name="Order 10780 2 keys")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
