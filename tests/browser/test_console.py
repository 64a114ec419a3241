"""The console as operators see it. Every test also fails on any complaint of the browser (`complaints`)."""

import re

import pytest
from playwright.sync_api import expect
from uuid_utils.compat import uuid7

from accounts.models import Token
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from tests.cast import add_keys, numbered
from tests.console import PASSWORD, signed_in, staff
from tests.console import page as address


def button(page, name):
    return page.get_by_role("button", name=name)


def is_within_width(page):
    """Whether nobody has to scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_console_signs_in(page, visit, acme):
    staff(acme, email="ann@acme.test", password=PASSWORD)
    visit("/admin/")

    page.get_by_label("E-mail").fill("ann@acme.test")
    page.get_by_label("Password").fill(PASSWORD)
    button(page, "Sign in").click()

    expect(page.get_by_role("heading", name="Pools")).to_be_visible()
    expect(page.get_by_text("Acme · ann@acme.test")).to_be_visible()


def test_console_imports_what_is_pasted(page, visit, operator, acme):
    visit.as_(operator)(address("licensing_policy_change", acme.policy.pk))
    page.get_by_role("link", name="Import keys").first.click()
    page.get_by_label("Paste keys").fill("\n".join([*numbered(40), "short"]))
    page.get_by_label("Name").fill("ACME PO 4711")

    button(page, "Look at it").click()
    expect(page.get_by_text("The key is too short").first).to_be_visible()
    assert Key.objects.count() == 0
    button(page, "Import the 40 good, leave out 1").dblclick()

    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    assert Key.objects.count() == 40
    page.get_by_role("link", name="To the pool").click()
    expect(page.get_by_text("ACME PO 4711")).to_be_visible()


def test_ten_thousand_pasted_keys(page, visit, operator, acme, import_workers):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    keys = "\n".join(f"C1B6DE-39A6E3-DE1529-8559A0-{number:06}-V3" for number in range(10_000))
    page.evaluate("keys => { document.getElementById('id_keys').value = keys }", keys)  # typing takes a minute

    button(page, "Look at it").click()
    button(page, "Import 10,000 keys").click(timeout=60_000)

    expect(page.get_by_role("heading", name="Imported")).to_be_visible(timeout=60_000)
    assert acme.policy.pool.available().count() == 10_000


def test_more_text_than_a_server_takes(page, visit, operator, acme, import_workers):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    keys = "\n".join(f"{number:06}-{'X' * 1000}" for number in range(3_000))
    page.evaluate("keys => { document.getElementById('id_keys').value = keys }", keys)

    button(page, "Look at it").click()

    expect(button(page, "Import 3,000 keys")).to_be_visible(timeout=60_000)


def test_console_imports_a_file_with_bad_lines(page, visit, operator, acme, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text("id,code\n" + "".join(f"{n},{key}\n" for n, key in enumerate(numbered(30))) + "31,KEY-0001\n32,x\n")
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.set_input_files("input[type=file]", file)
    expect(page.locator("[data-name]")).to_have_text("keys.csv")

    button(page, "Look at it").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all rejected lines").click()
    button(page, "Import the 30 good, leave out 2").click()

    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    lines = download.value.path().read_text().splitlines()
    assert lines[1:] == [
        "32,repeated,Same as line 2,KEY-0001",
        "33,too_short,The key is too short (minimum is 8 characters),x",
    ]
    assert Key.objects.count() == 30


def test_console_asks_for_the_column_and_checks_again(page, visit, operator, acme, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text("Game,Note\n" + "".join(f"Game,{key}\n" for key in numbered(10)) + "Game, KEY-0011\n")
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.set_input_files("input[type=file]", file)
    button(page, "Look at it").click()

    page.get_by_label("Note column 2").check()
    button(page, "Check again").click()
    expect(page.get_by_text("The key begins or ends with a blank").first).to_be_visible()
    page.get_by_text("Read the file in another way").click()
    page.get_by_label("Remove blanks around each key").check()
    button(page, "Check again").click()
    button(page, "Import 11 keys").click()

    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    assert acme.policy.pool.available().count() == 11


def test_console_imports_doubtful_lines_when_they_are_confirmed(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.get_by_label("Paste keys").fill("\n".join([*numbered(20), "Thank you for your order"]))
    button(page, "Look at it").click()

    button(page, "Import 21 keys").click()
    expect(page.get_by_role("heading", name="Look before you import")).to_be_visible()
    page.get_by_label("I have looked at the warnings").check()
    button(page, "Import 21 keys").click()

    expect(page.get_by_role("heading", name="Imported")).to_be_visible()
    assert acme.policy.pool.available().count() == 21


def test_a_large_file_shows_its_progress(page, visit, operator, acme, tmp_path, settings, import_workers):
    settings.MAX_DIRECT_IMPORT_BYTES = 1_000
    file = tmp_path / "keys.txt"
    file.write_text("".join(f"KEY-{number:08}\n" for number in range(20_000)))
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.set_input_files("input[type=file]", file)

    button(page, "Look at it").click()
    button(page, "Import 20,000 keys").click(timeout=60_000)

    expect(page.get_by_role("heading", name="Imported")).to_be_visible(timeout=60_000)
    assert Key.objects.count() == 20_000


def test_console_pops(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("licensing_policy_change", acme.policy.pk))
    page.get_by_role("link", name="Pop", exact=True).click()
    page.get_by_label("Reference").fill("Order 4711")

    button(page, "Pop").dblclick()

    expect(page.locator("#secret")).to_have_text("KEY-0001")
    assert KeyEvent.objects.filter(event="popped", operator="ann@acme.test", reference="Order 4711").count() == 1


def test_console_reload_and_back_repeat_nothing(page, visit, operator, acme):
    (key, *_) = add_keys(acme.policy, *numbered(9))
    forms = [
        (address("licensing_license_add", policy=acme.policy.pk), "Issue", License, 1),
        (address("licensing_policy_pop", acme.policy.pk), "Pop", KeyEvent, 2),
        (address("licensing_product_token", id=acme.product.pk), "Make a token", Token, 2),
        (address("pools_key_reveal", id=key.pk), "Reveal", KeyEvent, 3),
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
    visit(address("licensing_policy_export", acme.policy.pk))
    with page.expect_download():
        button(page, "Export").click()

    page.reload()
    page.go_back()
    page.go_forward()

    expect(button(page, "Export")).to_be_visible()
    assert KeyEvent.objects.count() == 1


def test_console_reveals_and_copies(page, visit, operator, acme):
    (key,) = add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.as_(operator)(address("pools_key_change", key.pk))
    expect(page.get_by_role("heading", name="C1B6…59V3")).to_be_visible()
    assert "DE-39A6E3" not in page.content()

    page.get_by_role("link", name="Reveal").click()
    button(page, "Reveal").click()
    button(page, "Copy").click()

    expect(button(page, "Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "C1B6DE-39A6E3-59V3"
    assert KeyEvent.objects.get().event == "revealed"


def test_console_returns(page, visit, operator, acme, audit):
    (key,) = add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(audit)
    visit.as_(operator)(address("pools_key_change", key.pk))

    page.get_by_role("link", name="Return to pool").click()
    expect(page.get_by_text("it is the next to be handed out")).to_be_visible()
    page.get_by_label("The key was not delivered").check()
    button(page, "Return to pool").click()

    expect(page.locator(".life .state").first).to_have_text("returned")
    assert acme.policy.pool.available().count() == 1


def test_console_withdraws_those_chosen(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("pools_key_changelist"))
    page.locator("input.action-select").nth(0).check()
    page.locator("input.action-select").nth(1).check()
    page.get_by_label("Action:").select_option("withdraw")
    button(page, "Go").click()

    expect(page.get_by_text("It is never handed out")).to_be_visible()
    button(page, "Withdraw").click()

    expect(page.get_by_text("Withdrawn: 2.")).to_be_visible()
    assert acme.policy.pool.available().count() == 1


def test_console_exports(page, visit, operator, acme):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("licensing_policy_export", acme.policy.pk))
    page.get_by_label("Format").select_option("text")

    with page.expect_download() as download:
        button(page, "Export").click()

    assert download.value.path().read_text().splitlines() == numbered(3)
    assert KeyEvent.objects.get().event == "exported"


def test_console_searches(page, visit, operator, acme, audit):
    add_keys(acme.policy, *numbered(3))
    license = issue_license(policy=acme.policy, audit=audit)

    for text, key in (("KEY-0002", "KE…02"), ("0003", "KE…03"), (str(license.pk), "KE…01")):
        visit.as_(operator)(address("pools_key_changelist"))
        page.locator("#searchbar").fill(text)
        button(page, "Search").click()

        expect(page.locator("#result_list tbody code")).to_have_text([key])


def test_anothers_address_leads_home(page, visit, operator, rival):
    (key,) = add_keys(rival.policy, "RIVAL-0001")

    visit.as_(operator)(address("pools_key_change", key.pk))

    expect(page.get_by_text(re.compile("doesn’t exist"))).to_be_visible()
    assert "RIVA" not in page.content()


@pytest.fixture
def everything(acme, audit, operator):
    """Pages of each kind, with something on them."""
    acme.policy.low_stock_threshold = 10
    acme.policy.save()
    key, *_ = add_keys(acme.policy, *numbered(5))
    license = issue_license(policy=acme.policy, audit=audit, name="Ann's license")
    token = address("licensing_product_token", id=acme.product.pk, once=uuid7())
    shown = signed_in(operator).post(token, {"once": token.rpartition("=")[2]})["Location"]
    return [
        token,
        shown,
        address("licensing_license_changelist", e="1"),
        address("index"),
        address("pools_key_changelist"),
        address("pools_key_changelist", q="nothing"),
        address("pools_key_change", key.pk),
        address("pools_keyevent_changelist"),
        address("pools_keyimport_changelist"),
        address("pools_pendingimport_import", acme.policy.pk),
        address("licensing_license_changelist"),
        address("licensing_license_change", license.pk),
        address("licensing_license_add"),
        address("licensing_policy_change", acme.policy.pk),
        address("licensing_policy_add"),
        address("licensing_policy_pop", acme.policy.pk),
        address("licensing_policy_export", acme.policy.pk),
        address("licensing_product_change", acme.product.pk),
        address("accounts_user_change", acme.admin.pk),
        address("accounts_token_changelist"),
        address("password_change"),
    ]


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


def test_console_is_dark_where_the_browser_is(page, visit, operator):
    page.emulate_media(color_scheme="dark")
    visit.as_(operator)("/admin/")

    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])

    assert max(red, green, blue) < 60
