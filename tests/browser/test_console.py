"""The console as operators see it. Every test also fails on any complaint of the browser (`complaints`)."""

import re

import pytest
from playwright.sync_api import expect

from accounts.models import Token
from licensing.models import License
from pools.models import KeyEvent
from tests.cast import add_keys, numbered
from tests.console import PASSWORD, staff
from tests.console import page as address


def button(page, name):
    return page.get_by_role("button", name=name)


def is_within_width(page):
    """Whether the page fits the window, without horizontal scrolling."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_console_signs_in(page, visit, acme):
    staff(acme, email="ann@acme.test", password=PASSWORD)
    visit("/admin/")

    page.get_by_label("Email").fill("ann@acme.test")
    page.get_by_label("Password").fill(PASSWORD)
    button(page, "Sign in").click()

    expect(page.get_by_role("heading", name="Pools")).to_be_visible()
    expect(page.get_by_role("banner").get_by_role("link", name="Acme")).to_be_visible()
    expect(page.get_by_role("banner").get_by_text("ann@acme.test").first).to_be_visible()


def test_console_pops(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("pools_pool_change", acme.policy.pk))
    page.get_by_role("link", name="Hand out keys").click()
    page.get_by_label("Reference").fill("Order 4711")

    button(page, "Hand out keys").dblclick()

    expect(page.locator("#secret")).to_have_text("KEY-0001")
    assert KeyEvent.objects.filter(event="popped", operator="ann@acme.test", reference="Order 4711").count() == 1


def test_console_reload_and_back_repeat_nothing(page, visit, operator, acme):
    (key, *_) = add_keys(acme.policy, *numbered(9))
    forms = [
        (address("licensing_license_add", policy=acme.policy.pk), "Issue", License, 1),
        (address("pools_pool_pop", acme.policy.pk), "Hand out keys", KeyEvent, 2),
        (address("licensing_product_token", id=acme.product.pk), "Create token", Token, 2),
        (address("pools_key_reveal", id=key.pk), "Show this key", KeyEvent, 3),
    ]
    visit.as_(operator)
    for path, label, model, number in forms:
        visit(path)
        button(page, label).dblclick()
        secret = page.locator("#secret").inner_text()
        page.reload()
        expect(page.locator("#secret")).to_have_text(secret)
        page.go_back()
        expect(page.get_by_role("heading", name="This form was sent")).to_be_visible()
        page.reload()
        page.get_by_role("link", name="See the result").click()
        expect(page.locator("#secret")).to_have_text(secret)
        page.go_back()
        page.get_by_role("link", name="Open a new form").click()
        expect(button(page, label)).to_be_visible()
        assert model.objects.count() == number, label


def test_an_export_is_not_repeated_by_reload_and_back(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("index"))
    visit(address("pools_pool_export", acme.policy.pk))
    with page.expect_download():
        button(page, "Export").click()

    page.reload()
    page.go_back()
    page.go_forward()

    expect(button(page, "Export")).to_be_visible()
    assert KeyEvent.objects.count() == 1


def test_console_exports(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("pools_pool_export", acme.policy.pk))
    page.get_by_label("Format").select_option("text")

    with page.expect_download() as download:
        button(page, "Export").click()

    assert download.value.path().read_text().splitlines() == numbered(3)
    assert KeyEvent.objects.get().event == "exported"


def test_anothers_address_leads_home(page, visit, operator, rival):
    (key,) = add_keys(rival.policy, "RIVAL-0001")

    visit.as_(operator)(address("pools_key_change", key.pk))

    expect(page.get_by_text(re.compile("doesn’t exist"))).to_be_visible()
    assert "RIVA" not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_and_keeps_to_the_policy(page, visit, operator, everything, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visit.as_(operator)
    wrong = []
    for path in everything:
        response = visit(path)
        policy = response.headers["content-security-policy"]
        if response.status != 200 or not policy.startswith("default-src 'self';") or not is_within_width(page):
            wrong.append(path)

    assert wrong == []


def test_long_names_leave_room_for_other_columns(page, visit, operator, acme):
    acme.product.name = "N" * 255
    acme.product.save()
    visit.as_(operator)(address("pools_pool_changelist"))

    assert is_within_width(page)
    assert page.get_by_role("link", name=acme.policy.name, exact=True).bounding_box()["height"] < 60


def test_console_is_dark_where_the_browser_is(page, visit, operator):
    page.emulate_media(color_scheme="dark")
    visit.as_(operator)("/admin/")

    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])

    assert max(red, green, blue) < 60
