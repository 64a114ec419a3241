"""StagedImport in the console: look first, then confirm."""

import gzip
from threading import Thread

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import User
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.models.pending_imports import INTERRUPTED_AFTER
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


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
    assert "KE…01" in text
    assert "KEY-0001" not in text
    assert "The key is too short (minimum is 8 characters)" in text
    assert "Import the 2 good, leave out 2" in text


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
    upload = look("KEY-0001\nshort\n")

    response = client.get(page("pools_pendingimport_rejected", upload.pk))
    other = signed_in(staff(acme, email="bob@acme.test")).get(page("pools_pendingimport_rejected", upload.pk))

    assert b"".join(response.streaming_content).decode().splitlines() == [
        "line,reason,text",
        "2,The key is too short (minimum is 8 characters),short",
    ]
    assert other.status_code == 403


def test_console_import_takes_files_by_their_name(look, client):
    data = gzip.compress(b"id,code\n1,KEY-0001\n2,KEY-0002\n")

    upload = look(file=SimpleUploadedFile("keys.csv.gz", data))
    confirm(client, upload)

    assert texts() == ["KEY-0001", "KEY-0002"]
    assert KeyImport.objects.get().source == "keys.csv.gz"


def test_console_import_says_what_is_wrong_with_a_file_as_a_whole(look, client):
    upload = look(file=SimpleUploadedFile("keys.csv", b"a,b\n1,2\n"))

    assert upload.state == "failed"
    assert "say which one holds the keys" in client.get(page("pools_pendingimport_change", upload.pk)).content.decode()


def test_the_same_file_again_adds_nothing_and_says_so(acme, look, client):
    add_keys(acme.policy, *numbered(3))

    upload = look("\n".join(numbered(3)))

    text = client.get(page("pools_pendingimport_change", upload.pk)).content.decode()
    assert "Every key of this file has come before" in text
    assert 'name="all"' not in text
    assert 'name="skip"' not in text


@pytest.mark.parametrize("data", [{}, {"keys": " \n "}])
def test_console_import_asks_for_keys(acme, client, data):
    response = client.post(page("pools_pendingimport_import", acme.policy.pk), data)

    assert "Paste some keys, or choose a file." in response.content.decode()


def test_console_import_forgets_the_file_when_it_is_done(look, client):
    upload = look("KEY-0001\nshort\n")
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

        assert "Begin again" in text

    def test_interrupted_import_can_be_begun_again(self, client, upload):
        confirm(client, upload, "again")

        assert texts() == ["KEY-0001", "KEY-0002"]
        assert upload.state == "done"

    def test_interrupted_import_is_left_alone_while_somebody_works_on_it(self, client, upload):
        PendingImport.objects.update(alive=timezone.now())

        confirm(client, upload, "again")

        assert texts() == []
        progress = client.get(page("pools_pendingimport_progress", upload.pk)).json()
        assert progress["running"]


@pytest.mark.django_db(transaction=True)
def test_a_large_file_is_worked_on_beside_the_request(acme, monkeypatch):
    monkeypatch.setattr("pools.services.pending_imports.MAX_FOREGROUND_BYTES", 10)
    client = signed_in(staff(acme, email="ann@acme.test"))
    started = []
    monkeypatch.setattr("pools.services.pending_imports.threading.Thread.start", remembering(started))
    client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "\n".join(numbered(2000))})
    upload = PendingImport.objects.get()
    wait_for(started)

    client.post(page("pools_pendingimport_change", upload.pk), {"all": "yes"})
    wait_for(started)

    assert texts() == numbered(2000)
    assert KeyEvent.objects.get().event == "added"


def remembering(started):
    start = Thread.start

    def remember(thread):
        if thread.name.startswith("pending import"):
            started.append(thread)
        start(thread)

    return remember


def wait_for(threads):
    while threads:
        threads.pop().join(timeout=60)
