"""Imports in the console: a preview first, then the keys are added."""

import gzip
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import User
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.models.pending_imports import INTERRUPTED_AFTER
from pools.services.import_workers import MAX_INTERRUPTIONS, run_waiting_imports
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff


@pytest.fixture
def look(acme, client):
    """Give the console some keys or a file: the upload."""

    def give(keys="", file=None, **values):
        response = client.post(
            page("pools_pendingimport_import", acme.policy.pk),
            {"keys": keys, **({"file": file} if file else {}), **values},
        )
        assert response.status_code == 302, response.context["form"].errors
        return PendingImport.objects.get()

    return give


def confirm(client, upload, button="all"):
    client.post(page("pools_pendingimport_change", upload.pk), {button: "yes"})
    upload.refresh_from_db()


def texts():
    return list(Key.objects.order_by("id").values_list("key", flat=True))


def test_console_import_looks_first(look, client):
    upload = look("KEY-0001\r\nKEY-0002\r\nshort\r\nKEY-0001\r\n")

    text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()

    assert texts() == []
    assert (upload.state, upload.report["good"], upload.report["rejected"]) == ("checked", 2, 2)
    assert "<li><code>KEY-0001</code></li><li><code>KEY-0002</code></li>" in text
    assert "Shorter than 8 characters" in text
    assert "Same as line 1" in text
    assert "Add 2 keys, skip 2 lines" in text


def test_console_import_imports_in_the_order_of_the_lines_when_confirmed(look, client):
    upload = look("\n".join(numbered(50)), name="ACME PO 4711")

    confirm(client, upload)

    key_import = KeyImport.objects.get()
    assert texts() == numbered(50)
    assert (key_import.name, key_import.operator, key_import.added) == ("ACME PO 4711", "ann@acme.test", 50)
    assert (upload.state, upload.key_import) == ("done", key_import)


def test_a_double_click_imports_once(look, client):
    upload = look("\n".join(numbered(3)))

    for _ in range(2):
        confirm(client, upload)

    assert KeyImport.objects.count() == 1
    assert len(texts()) == 3


def test_console_import_leaves_out_bad_lines_when_told_to(look, client):
    upload = look("KEY-0001\nshort\nKEY-0002\n")

    confirm(client, upload, "skip")

    assert texts() == ["KEY-0001", "KEY-0002"]
    assert (upload.report["added"], upload.report["rejected"]) == (2, 1)


def test_rejected_lines_can_be_downloaded_by_who_brought_them(acme, look, client):
    upload = look("KEY-0001\nKEY-0002\nshort\n")

    response = client.get(page("pools_pendingimport_rejected", upload.pk))
    other = signed_in(staff(acme, email="bob@acme.test")).get(page("pools_pendingimport_rejected", upload.pk))

    assert b"".join(response.streaming_content).decode().splitlines() == [
        "line,code,reason,text",
        "3,too_short,The key is too short (minimum is 8 characters),short",
    ]
    assert other.status_code == 403


def test_console_import_takes_files_by_their_name(look, client):
    data = gzip.compress(b"id,code\n1,KEY-0001\n2,KEY-0002\n")

    upload = look(file=SimpleUploadedFile("keys.csv.gz", data))
    confirm(client, upload)

    assert texts() == ["KEY-0001", "KEY-0002"]
    assert KeyImport.objects.get().source == "keys.csv.gz"


def test_console_import_reports_an_error_of_the_whole_file(look, client):
    upload = look(file=SimpleUploadedFile("keys.csv", b"<!DOCTYPE html>\n<html><body>Error</body></html>\n"))

    assert upload.state == "failed"
    assert "This is a web page" in client.get(page("pools_pendingimport_change", upload.pk)).content.decode()


@pytest.mark.parametrize("keys", ["", "license key\n", "\t \n"])
def test_console_import_says_that_there_are_no_keys(acme, client, keys):
    client.post(
        page("pools_pendingimport_import", acme.policy.pk), {"file": SimpleUploadedFile("keys.txt", keys.encode())}
    )

    upload = PendingImport.objects.get()
    assert (upload.state, "The file has no keys" in upload.problem) == ("failed", True)


class TestUnderstood:
    @pytest.mark.parametrize(
        ("keys", "shown"),
        [
            (
                "key;note\r\nKEY-0001;a\r\nKEY-0002;b\r\n",
                "CSV, UTF-8, columns separated by semicolons. The keys are in the column key. "
                "The first row is a header, not a key. Ignored columns: note.",
            ),
            ("Serial No.\tGame\nKEY-0001\tA\nKEY-0002\tB\n", "The keys are in the column Serial No."),
            ('{"key": "KEY-0001"}\n{"key": "KEY-0002"}\n', "NDJSON"),
            ("KEY-0001\nKEY-0002\n", "Text, UTF-8."),
        ],
    )
    def test_pasted_text_is_judged_by_its_content(self, look, client, keys, shown):
        upload = look(keys)

        assert shown in client.get(page("pools_pendingimport_change", upload.pk)).content.decode()
        confirm(client, upload)
        assert texts() == numbered(2)

    def test_options_of_the_form_are_used(self, look, client):
        data = "Nummer;Kürzel\n KEY-0001;Ä\nKEY-0002 ;Ö\n".encode("windows-1252")
        upload = look(
            file=SimpleUploadedFile("keys.csv", data),
            encoding="windows-1252",
            delimiter="semicolon",
            header="yes",
            column="1",
            trim="on",
        )

        assert upload.problem == ""
        assert upload.report["trimmed"] == 2
        confirm(client, upload)
        assert texts() == numbered(2)

    def test_first_and_last_keys_are_shown_to_the_operator_who_brought_them(self, acme, look, client):
        upload = look("\n".join(numbered(50)))
        address = page("pools_pendingimport_change", upload.pk)

        mine = client.get(address).content.decode()
        theirs = signed_in(staff(acme, email="bob@acme.test")).get(address).content.decode()

        assert ("KEY-0001" in mine, "KEY-0050" in mine) == (True, True)
        assert "KEY-00" not in theirs


class TestCheckAgain:
    """The file is read again with other options, without a second upload."""

    def check(self, client, upload, **options):
        client.post(page("pools_pendingimport_change", upload.pk), {"check": "yes", **options})
        upload.refresh_from_db()

    def test_column_is_picked(self, look, client):
        upload = look("Product,Note\nGame,KEY-0001\nGame,KEY-0002\n")
        text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()
        assert upload.state == "failed"
        assert "Which column has the keys?" in text
        assert "<code>KEY-0001</code> <code>KEY-0002</code>" in text

        self.check(client, upload, column="2")
        assert (upload.state, upload.report["good"]) == ("checked", 2)
        confirm(client, upload)

        assert texts() == numbered(2)

    @pytest.mark.parametrize("button", ["all", "skip", "check"])
    @pytest.mark.parametrize("keys", ["KEY-0001\nKEY-0002\n", "Product,Note\nGame,KEY-0001\nGame,KEY-0002\n"])
    def test_others_neither_import_nor_check_nor_see_keys(self, acme, look, client, keys, button):
        """The ledger would name the operator who uploaded it; and a check for a missing column quotes the first row."""
        upload = look(keys)
        other, address = signed_in(staff(acme, email="bob@acme.test")), page("pools_pendingimport_change", upload.pk)
        seen = upload.updated

        response = other.post(address, {button: "yes", "column": "99", "accept_warnings": "true"})

        upload.refresh_from_db()
        assert (texts(), upload.updated, response.status_code) == ([], seen, 200)
        assert f"Nothing was done: only {upload.operator} can add these keys" in response.content.decode()
        for text in (response.content.decode(), other.get(address).content.decode()):
            assert "KEY-000" not in text
            assert "Game" not in text
            assert 'name="all"' not in text
            assert 'name="check"' not in text

    def test_encoding_is_chosen_after_a_failure(self, look, client):
        upload = look(file=SimpleUploadedFile("keys.txt", "SCHLÜSSEL-1\nSCHLÜSSEL-2\n".encode("windows-1252")))
        assert upload.state == "failed"

        self.check(client, upload, encoding="windows-1252")
        confirm(client, upload)

        assert texts() == ["SCHLÜSSEL-1", "SCHLÜSSEL-2"]

    def test_blanks_are_removed_when_told(self, look, client):
        upload = look(" KEY-0001\nKEY-0002 \n")
        assert (upload.report["good"], upload.report["rejected"]) == (0, 2)

        self.check(client, upload, trim="on")

        assert (upload.report["good"], upload.report["trimmed"]) == (2, 2)
        text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()
        assert re.search(r'<input [^>]*name="trim"[^>]* checked', text)
        confirm(client, upload)
        assert texts() == numbered(2)

    @pytest.mark.parametrize(("used_rows", "available", "popped"), [("reject", 1, 0), ("used", 1, 1), ("ignore", 2, 0)])
    def test_used_rows_are(self, acme, look, client, used_rows, available, popped):
        upload = look("key,status\nKEY-0001,sold\nKEY-0002,available\n")
        assert upload.report["rejected"] == 1

        self.check(client, upload, used_rows=used_rows)
        confirm(client, upload, "skip")

        pool = acme.policy.pool
        assert (pool.available().count(), pool.filter(popped__isnull=False).count()) == (available, popped)

    def test_unknown_options_are_refused(self, look, client):
        upload = look("KEY-0001\n")

        response = client.post(page("pools_pendingimport_change", upload.pk), {"check": "yes", "delimiter": "runes"})

        assert response.status_code == 200
        assert "Select a valid choice" in response.content.decode()

    def test_another_check_than_the_one_that_was_seen_is_not_imported(self, look, client):
        upload = look("KEY-0001\nKEY-0002 \n")
        seen = upload.updated.isoformat()
        self.check(client, upload, trim="on")

        client.post(page("pools_pendingimport_change", upload.pk), {"skip": "yes", "seen": seen})
        assert texts() == []
        client.post(page("pools_pendingimport_change", upload.pk), {"all": "yes", "seen": upload.updated.isoformat()})

        assert texts() == numbered(2)

    def test_imported_file_is_not_checked_again(self, look, client):
        upload = look("KEY-0001\n")
        confirm(client, upload)

        self.check(client, upload, trim="on")

        assert upload.state == "done"

    def test_others_accounts_cannot_check(self, rival, look):
        upload = look("KEY-0001\n")

        response = signed_in(staff(rival)).post(page("pools_pendingimport_change", upload.pk), {"check": "yes"})

        assert response.status_code == 404


class TestWarnings:
    KEYS = "\n".join([*(f"ABCD-EFGH-{number:04}" for number in range(30)), "Thank you for your order"])

    def test_serious_warnings_are_above_the_button(self, look, client):
        upload = look(self.KEYS)

        text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()

        assert text.index("Some lines are probably no keys") < text.index("Add 31 keys")
        assert "Line 31 is " in text
        assert "<code>Thank you for your order</code>" in text

    def test_serious_warnings_have_to_be_accepted(self, look, client):
        upload = look(self.KEYS)
        address = page("pools_pendingimport_change", upload.pk)

        refused = client.post(address, {"all": "yes"})
        assert texts() == []
        assert "confirm them above the button" in refused.content.decode()
        client.post(address, {"all": "yes", "accept_warnings": "true"})

        assert len(texts()) == 31


def test_console_help_says_which_files_are_accepted(acme, rival, client):
    response = client.get(page("pools_pendingimport_help", acme.policy.pk))

    assert "Excel workbooks" in response.content.decode()
    assert client.get(page("pools_pendingimport_help", rival.policy.pk)).status_code == 404


def test_the_same_file_again_adds_nothing_and_says_so(acme, look, client):
    add_keys(acme.policy, *numbered(3))

    upload = look("\n".join(numbered(3)))

    text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()
    assert "All of these keys are already known. Nothing to add." in text
    assert 'name="all"' not in text
    assert 'name="skip"' not in text


@pytest.mark.parametrize("data", [{}, {"keys": " \n "}])
def test_console_import_asks_for_keys(acme, client, data):
    response = client.post(page("pools_pendingimport_import", acme.policy.pk), data)

    assert "Paste some keys, or choose a file." in response.content.decode()


def test_console_import_forgets_the_file_when_it_is_done(look, client):
    upload = look("KEY-0001\nKEY-0002\nshort\n")
    confirm(client, upload, "skip")

    assert [part.kind for part in upload.parts.all()] == ["rejected"]


class TestInterrupted:
    @pytest.fixture
    def upload(self, acme):
        """An upload whose process was killed while it imported."""
        upload = create_pending_import(
            policy=acme.policy, operator=User(email="ann@acme.test"), blocks=[b"KEY-0001\nKEY-0002\n"]
        )
        check_pending_import(upload)
        PendingImport.objects.update(state="importing", alive=timezone.now() - 2 * INTERRUPTED_AFTER)
        upload.refresh_from_db()
        return upload

    def test_interrupted_import_is_said(self, client, upload):
        text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()

        assert "Resume" in text

    def test_interrupted_import_can_be_begun_again(self, client, upload):
        confirm(client, upload, "again")

        assert texts() == ["KEY-0001", "KEY-0002"]
        assert upload.state == "done"

    def test_import_that_is_still_running_is_left_alone(self, client, upload):
        PendingImport.objects.update(alive=timezone.now())

        confirm(client, upload, "again")

        assert texts() == []
        progress = client.get(page("pools_pendingimport_progress", upload.pk)).json()
        assert progress["running"]


def test_a_large_file_is_imported_in_the_background(look, client, settings):
    settings.MAX_DIRECT_IMPORT_BYTES = 10
    upload = look("\n".join(numbered(2000)))
    assert upload.state == "checking"
    run_waiting_imports(wait=False)

    confirm(client, upload)
    assert (upload.state, texts()) == ("importing", [])
    run_waiting_imports(wait=False)

    assert texts() == numbered(2000)
    assert KeyEvent.objects.get().event == "added"


def test_a_large_file_can_be_checked_many_times(acme, settings):
    settings.MAX_DIRECT_IMPORT_BYTES = 0
    operator = User.objects.filter(account=acme.account).first()
    pending = create_pending_import(policy=acme.policy, operator=operator, blocks=[b"KEY-0001\n"])

    for _ in range(MAX_INTERRUPTIONS + 1):
        check_pending_import(pending)
        run_waiting_imports(wait=False)
        pending.refresh_from_db()

    assert (pending.state, pending.problem) == ("checked", "")


@pytest.mark.parametrize(
    "data",
    [
        b"key,No\x00te\nKEY-0001,a\x00\nKEY-0002,b\n",
        b"Prod\x00uct,Note\nGa\x00me,KEY-0001\nGame,KEY-0002\n",
        b"Prod\x00uct,No\x07te\nGame,KEY\x00-0001\nGame,KEY\x00-0002\n",
        b"key;sta\x00tus;status\nKEY-0001;x\x00;so\x00ld\nKEY-0002;;sold\n",
        b'{"key": "KEY-0001", "no\\u0000te": "\\ud800"}\n{"key": "KEY-0002\\u0000"}\n',
        b'["KEY-0001\\u0000", "KEY-0002\\ud800", "KEY-0003"]',
        b"KEY-0001\nKEY-0002\nThank you\x00 for your order\n",
        b"\x00\x00\x00\x00\nKEY-0001\n",
        b"key,No\xffte\nKEY-0001,a\xff\nKEY-0002,b\n",
        b"Prod\xffuct,Note\nGa\xffme,KEY-0001\nGame,KEY-0002\n",
        "key\u202e,No\u202ete\nKEY-0001,a\u202e\nKEY-0002,b\n".encode(),
    ],
)
def test_characters_that_no_database_stores_are_escaped_in_reports(acme, client, data):
    file = SimpleUploadedFile("keys.txt", data)
    client.post(page("pools_pendingimport_import", acme.policy.pk), {"file": file})

    upload = PendingImport.objects.get()
    assert upload.state in ("checked", "failed")
    assert "Something went wrong" not in upload.problem
    assert client.get(page("pools_pendingimport_change", upload.pk)).status_code == 200
