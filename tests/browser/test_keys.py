"""The tasks of an operator with keys, from the overview, with their clicks counted."""

import pytest
from playwright.sync_api import expect

from accounts.audit import AuditContext
from pools.models import Key, KeyEvent
from pools.services.keys import reveal_key
from tests.browser.clicks import Clicks
from tests.cast import add_keys, make_policy, numbered, shop_audit
from tests.console import page as address


class KeyClicks(Clicks):
    """Clicks from the overview on."""

    def find(self, text):
        """Find something on the page of keys, whose field has the focus."""
        self.link("Keys", exact=True)
        expect(self.page.locator("#find-key")).to_be_focused()
        self.page.keyboard.insert_text(text)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def find_key(self, text):
        """Find a key: the only hit opens its page."""
        self.find(text)
        expect(self.page.locator(".story")).to_be_visible()


@pytest.fixture
def shop(acme):
    return shop_audit(acme.product, "SHOP-500421")


@pytest.fixture
def clicks(page, visit, operator, acme):
    make_policy(acme.product, "Another pool", use_pool=True)
    add_keys(acme.policy, *numbered(6))
    visit.as_(operator)(address("index"))
    return KeyClicks(page)


def test_task_3_who_got_a_key(page, clicks, acme, shop):
    acme.policy.pool.pop(shop)

    clicks.find_key("KEY-0001")

    expect(page.locator(".story")).to_contain_text("to Rocket (token “Shop EU”) for SHOP-500421.")
    assert "KEY-0001" not in page.locator("#content").inner_text()
    assert clicks.count == 1


def test_task_4_all_keys_of_an_order(page, clicks, acme, shop):
    for _ in range(2):
        acme.policy.pool.pop(shop)

    clicks.find("SHOP-500421")

    shown = page.locator("#content").inner_text()
    assert "KE…01" in shown
    assert "KE…02" in shown
    assert clicks.count == 1


def test_task_5_a_refund_of_an_undelivered_key(page, clicks, acme, shop):
    acme.policy.pool.pop(shop)
    clicks.find_key("SHOP-500421")

    clicks.link("Put back", exact=True)
    expect(page.get_by_text("The next customer will get this key.")).to_be_visible()
    clicks(page.get_by_label("No one has received or seen this key"))
    clicks.button("Put back this key", exact=True)

    expect(page.locator(".story")).to_contain_text("Available: put back")
    assert acme.policy.pool.available_in_order().first().key == "KEY-0001"
    assert clicks.count == 4


def test_task_6_a_refund_of_a_key_that_was_seen(page, clicks, acme, shop):
    reveal_key(acme.policy.pool.pop(shop), AuditContext(operator="bob@acme.test"))
    clicks.find_key("SHOP-500421")
    expect(page.get_by_role("link", name="Put back", exact=True)).to_have_count(0)
    expect(page.locator(".unsafe-actions")).to_contain_text("bob@acme.test saw this key on")

    clicks.link("Replace", exact=True)
    page.get_by_label("Reason").fill("ticket 881")
    clicks(page.get_by_role("button", name="Replace this key"), click_count=2)

    expect(page.locator("#secret")).to_have_text("KEY-0002")
    expect(page.get_by_role("heading", name="New key for SHOP-500421")).to_be_visible()
    assert [key.state for key in Key.objects.order_by("id")[:3]] == ["withdrawn", "popped", "available"]
    assert clicks.count == 3
    page.reload()
    expect(page.locator("#secret")).to_have_text("KEY-0002")
    page.get_by_role("link", name="Done").click()
    expect(page.locator(".story")).to_contain_text("in place of KE…01.")


def test_task_17_retire_three_keys(page, clicks, acme):
    clicks.link("Keys", exact=True)
    clicks(page.locator(".browse a", has_text="Pooled"))
    clicks(page.locator("input.action-select").nth(0))
    clicks(page.locator("input.action-select").nth(2), modifiers=["Shift"])
    clicks.button("Retire…", exact=True)
    expect(page.get_by_text("These keys will never be handed out")).to_be_visible()
    clicks.button("Retire 3 keys", exact=True)

    expect(page.get_by_text("3 keys retired.")).to_be_visible()
    assert "policy=" in page.url
    assert acme.policy.pool.available().count() == 3
    assert clicks.count == 6


def test_show_and_copy(page, visit, operator, acme):
    (key,) = add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.as_(operator)(address("pools_key_change", key.pk))
    expect(page.get_by_role("heading", name="C1B6…59V3")).to_be_visible()
    assert "DE-39A6E3" not in page.content()

    page.get_by_role("link", name="Show", exact=True).click()
    page.get_by_role("button", name="Show this key").click()
    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "C1B6DE-39A6E3-59V3"
    assert KeyEvent.objects.get().event == "revealed"


def test_a_page_that_is_out_of_date_does_nothing(page, visit, clicks, acme, shop):
    visit(address("pools_key_withdraw", id=acme.policy.pool.earliest("id").pk))
    acme.policy.pool.pop(shop)

    page.get_by_role("button", name="Retire this key").click()

    expect(page.get_by_text("This key has changed since you opened this page, so nothing was done.")).to_be_visible()
    expect(page.get_by_text("for SHOP-500421")).to_be_visible()
    assert not Key.objects.exclude(withdrawn=None).exists()
