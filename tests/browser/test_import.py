"""Imports, with the clicks of the tasks counted from the overview."""

import re

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from pools.models import Key, KeyImport, PendingImport
from tests.cast import add_keys, make_policy, numbered
from tests.console import PASSWORD, staff
from tests.console import page as address


def button(page, name):
    return page.get_by_role("button", name=name)


def paste(page, *texts):
    """Paste into the field that has the focus."""
    expect(page.get_by_label("Paste keys")).to_be_focused()
    page.keyboard.insert_text("\n".join(texts))


@pytest.fixture
def overview(page, visit, operator, acme):
    """Open the overview, where a pool is low."""
    make_policy(acme.product, "Another pool", use_pool=True)
    add_keys(acme.policy, "OLD-KEY-0001", "OLD-KEY-0002")
    acme.policy.low_stock_threshold = 5
    acme.policy.save()
    visit.as_(operator)(address("index"))


@pytest.fixture
def batch(acme, overview):
    """An import of three keys."""
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy, name="Beta wave 1", added=3)
    keys = add_keys(acme.policy, *numbered(3))
    Key.objects.filter(pk__in=[key.pk for key in keys]).update(key_import=key_import)
    return key_import


def import_link(page):
    """The link of the low pool."""
    return page.locator("main").get_by_role("link", name=re.compile("^Import.*Pooled")).first


def test_task_1_twenty_pasted_keys(page, overview, acme, clicks):
    clicks(import_link(page))
    paste(page, *numbered(20))
    expect(page.get_by_text("20 lines", exact=True)).to_be_visible()
    clicks(button(page, "Preview"))
    expect(page.get_by_text("The pool will hold 22 keys")).to_be_visible()
    expect(page.get_by_text("KEY-0001", exact=True)).to_be_visible()
    clicks(button(page, "Add 20 keys"))

    expect(page.get_by_role("heading", name="20 keys added")).to_be_visible()
    assert acme.policy.pool.available().count() == 22
    assert clicks.count == 3
    clicks(page.get_by_role("link", name="Open pool"))
    expect(page.get_by_role("heading", name="Pooled").first).to_be_visible()
    assert clicks.count == 4


def test_task_2_a_file_with_bad_lines(page, overview, acme, clicks, tmp_path):
    file = tmp_path / "acme-po-4711.csv"
    rows = [f"{number};{key};x\n" for number, key in enumerate(numbered(30))]
    file.write_text("".join(["id;key;note\n", *rows, "31;KEY-0001;x\n", "32;y;x\n"]))

    clicks(import_link(page))
    with page.expect_file_chooser() as chooser:
        clicks(page.get_by_label("Or drop files"))
    chooser.value.set_files(file)
    clicks(button(page, "Preview"))
    expect(page.get_by_text("columns separated by semicolons")).to_be_visible()
    expect(page.get_by_text("Same as line 2").first).to_be_visible()
    assert page.get_by_label("Name this batch").input_value().startswith("acme-po-4711")
    clicks(button(page, "Add 30 keys, skip 2 lines"))

    expect(page.get_by_role("heading", name="30 keys added")).to_be_visible()
    assert clicks.count == 4


def test_task_14_see_imports_and_undo_one(page, batch, acme, clicks):
    clicks(page.get_by_role("link", name="Imports").first)
    clicks(page.get_by_role("link", name="Beta wave 1"))
    clicks(page.get_by_role("link", name="Undo import: remove 3 unused keys"))
    clicks(button(page, "Remove 3 unused keys"))

    expect(page.get_by_text("Import undone: 3 keys removed.")).to_be_visible()
    expect(page.get_by_text("No unused keys are left")).to_be_visible()
    assert acme.policy.pool.available().count() == 2
    assert clicks.count == 4


def test_batch_in_the_wrong_pool_is_moved(page, batch, acme, clicks):
    clicks(page.get_by_role("link", name="Imports").first)
    clicks(page.get_by_role("link", name="Beta wave 1"))
    clicks(page.get_by_role("link", name="Move 3 unused keys", exact=True))
    page.get_by_label("Move to").select_option(label="Rocket · Another pool")
    clicks(button(page, "Move 3 unused keys"))

    expect(page.get_by_text("3 keys moved.")).to_be_visible()
    assert Key.objects.filter(policy__name="Another pool").count() == 3
    assert clicks.count == 4


def test_undo_of_many_keys_goes_on_by_itself(page, visit, operator, acme, monkeypatch):
    monkeypatch.setattr("pools.services.import_changes.BATCH_SIZE", 2)
    monkeypatch.setattr("pools.admin.import_actions.SECONDS", 1e-9)
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy, name="Beta wave 1", added=6)
    add_keys(acme.policy, *numbered(6))
    Key.objects.update(key_import=key_import)
    visit.as_(operator)(address("pools_keyimport_undo", id=key_import.pk))

    button(page, "Remove 6 unused keys").click()

    expect(page.get_by_text("Import undone: 6 keys removed.")).to_be_visible(timeout=20_000)
    assert not Key.objects.exists()


def test_fix_and_retry_keeps_the_text(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, "KEY-0001", "short", " KEY-0003")
    button(page, "Preview").click()

    button(page, "Remove the spaces").click()
    expect(button(page, "Add 2 keys, skip 1 line")).to_be_visible()
    page.get_by_role("link", name="Fix and retry").click()
    field = page.get_by_label("Paste keys")
    expect(field).to_have_value("KEY-0001\nshort\n KEY-0003")
    field.fill("KEY-0001\nKEY-0002\n KEY-0003")
    button(page, "Preview").click()
    button(page, "Add 3 keys").dblclick()

    expect(page.get_by_role("heading", name="3 keys added")).to_be_visible()
    assert sorted(Key.objects.values_list("key", flat=True)) == numbered(3)


def test_pasted_keys_survive_the_end_of_the_session(page, visit, acme, complaints):
    ann = staff(acme, email="ann@acme.test", password=PASSWORD)
    visit.as_(ann)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, *numbered(20))
    Session.objects.all().delete()
    page.context.clear_cookies()

    button(page, "Preview").click()
    expect(page.get_by_text("Your keys are kept. Sign in to see the preview.")).to_be_visible()
    page.get_by_label(re.compile("E-?mail")).fill("ann@acme.test")
    page.get_by_label("Password").fill(PASSWORD)
    button(page, "Sign in").click()
    button(page, "Add 20 keys").click()

    expect(page.get_by_role("heading", name="20 keys added")).to_be_visible()


def test_large_text_stays_in_the_page_when_the_session_ends(page, visit, acme):
    ann = staff(acme, email="ann@acme.test", password=PASSWORD)
    start = address("pools_pendingimport_import", acme.policy.pk)
    visit.as_(ann)(start)
    keys = "\n".join(f"{number:06}-{'X' * 1000}" for number in range(1_500))
    page.evaluate("keys => { document.getElementById('id_keys').value = keys }", keys)
    Session.objects.all().delete()

    button(page, "Preview").click()
    expect(page.get_by_text("You have been signed out. Your keys are still here")).to_be_visible()
    assert not PendingImport.objects.exists()
    visit.as_(ann)  # the sign-in in another tab
    button(page, "Preview").click()

    expect(page.get_by_role("heading", name="Checking…")).to_be_visible()
    assert PendingImport.objects.get().size > 1_500_000


def test_unfinished_import_is_found_again(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, *numbered(3))
    button(page, "Preview").click()
    expect(button(page, "Add 3 keys")).to_be_visible()

    page.get_by_role("link", name="Imports").first.click()
    page.get_by_role("link", name=re.compile("^Review")).click()
    button(page, "Add 3 keys").click()

    expect(page.get_by_role("heading", name="3 keys added")).to_be_visible()


def test_several_files_are_dropped(page, visit, operator, acme, tmp_path):
    for name, key in (("a.txt", "KEY-0001"), ("b.txt", "KEY-0002")):
        (tmp_path / name).write_text(f"{key}\n")
    visit.as_(operator)(address("pools_pendingimport_start"))
    drop = """() => {
      const files = new DataTransfer();
      for (const name of ["a.txt", "b.txt"]) files.items.add(new File([`KEY-${name}-0001\\n`], name));
      for (const type of ["dragover", "drop"]) {
        const event = new DragEvent(type, { dataTransfer: files, cancelable: true });
        document.querySelector("[data-drop]").dispatchEvent(event);
      }
    }"""
    page.evaluate(drop)
    expect(page.locator("[data-name]")).to_have_text("a.txt, b.txt")

    button(page, "Preview").click()
    button(page, "Add 2 keys").click()

    expect(page.get_by_role("heading", name="2 keys added")).to_be_visible()
    assert KeyImport.objects.get().source == "a.txt, b.txt"


def test_column_is_chosen_over_a_preview(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, "key,serial", "WRONG-0001,KEY-0001", "WRONG-0002,KEY-0002")
    page.get_by_text("Options: spaces").click()
    page.get_by_label("Column").fill("key")
    button(page, "Preview").click()

    button(page, "Use this column: serial").click()
    button(page, "Add 2 keys").click()

    expect(page.get_by_role("heading", name="2 keys added")).to_be_visible()
    assert sorted(Key.objects.values_list("key", flat=True)) == numbered(2)


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_import_works_without_the_script(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.get_by_label("Paste keys").fill("\n".join(numbered(3)))

    button(page, "Preview").click()
    button(page, "Add 3 keys").click()

    expect(page.get_by_role("heading", name="3 keys added")).to_be_visible()


def test_ten_thousand_pasted_keys(page, visit, operator, acme, import_workers):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    keys = "\n".join(f"C1B6DE-39A6E3-DE1529-8559A0-{number:06}-V3" for number in range(10_000))
    page.evaluate("keys => { document.getElementById('id_keys').value = keys }", keys)  # typing takes a minute

    button(page, "Preview").click()
    button(page, "Add 10,000 keys").click(timeout=60_000)

    expect(page.get_by_role("heading", name="10,000 keys added")).to_be_visible(timeout=60_000)
    assert acme.policy.pool.available().count() == 10_000


def test_more_text_than_a_server_takes(page, visit, operator, acme, import_workers):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    keys = "\n".join(f"{number:06}-{'X' * 1000}" for number in range(3_000))
    page.evaluate("keys => { document.getElementById('id_keys').value = keys }", keys)

    button(page, "Preview").click()

    expect(button(page, "Add 3,000 keys")).to_be_visible(timeout=60_000)


def test_skipped_lines_are_downloaded(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, "KEY-0001", "KEY-0001", "x")
    button(page, "Preview").click()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download skipped lines").click()

    lines = download.value.path().read_text().splitlines()
    assert lines[1:] == [
        "2,repeated,Same as line 1,KEY-0001",
        "3,too_short,The key is too short (minimum is 8 characters),x",
    ]


def test_console_asks_for_the_column(page, visit, operator, acme, tmp_path):
    file = tmp_path / "keys.csv"
    file.write_text("Game,Note\n" + "".join(f"Game,{key}\n" for key in numbered(10)))
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.set_input_files("input[type=file]", file)
    button(page, "Preview").click()

    page.get_by_label("Note column 2").check()
    button(page, "Continue").click()
    button(page, "Add 10 keys").click()

    expect(page.get_by_role("heading", name="10 keys added")).to_be_visible()


def test_doubtful_lines_are_added_when_they_are_confirmed(page, visit, operator, acme):
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    paste(page, *numbered(20), "Thank you for your order")
    button(page, "Preview").click()

    button(page, "Add 21 keys").click()
    expect(page.get_by_role("heading", name="Preview: nothing added yet")).to_be_visible()
    page.get_by_label("I have looked at the warnings").check()
    button(page, "Add 21 keys").click()

    expect(page.get_by_role("heading", name="21 keys added")).to_be_visible()


def test_a_large_file_shows_its_progress(page, visit, operator, acme, tmp_path, settings, import_workers):
    settings.MAX_DIRECT_IMPORT_BYTES = 1_000
    file = tmp_path / "keys.txt"
    file.write_text("".join(f"KEY-{number:08}\n" for number in range(20_000)))
    visit.as_(operator)(address("pools_pendingimport_import", acme.policy.pk))
    page.set_input_files("input[type=file]", file)

    button(page, "Preview").click()
    button(page, "Add 20,000 keys").click(timeout=60_000)

    expect(page.get_by_role("heading", name="20,000 keys added")).to_be_visible(timeout=60_000)
    assert Key.objects.count() == 20_000
