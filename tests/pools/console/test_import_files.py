"""Imports in the console: several files, options of each, and another try with the files that were sent before."""

import re
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from pools.models import DailyPopCount, Key, KeyImport, PendingImport
from pools.services.import_workers import run_waiting_imports
from pools.services.pending_imports import MAX_FILES
from tests.cast import add_keys, make_policy, numbered
from tests.console import page, signed_in, staff


def file(name, text):
    return SimpleUploadedFile(name, text.encode())


def send(client, acme, *files, keys="", **values):
    response = client.post(
        page("pools_pendingimport_import", acme.policy.pk), {"keys": keys, "file": list(files), **values}
    )
    assert response.status_code == 302, response.context["form"].errors
    return PendingImport.objects.first()


def press(client, upload, button, value="yes", **values):
    """Press a button of the preview."""
    response = client.post(page("pools_pendingimport_change", upload.pk), {button: value, **values})
    assert response.status_code == 302
    return PendingImport.objects.filter(pk=upload.pk).first()


def text_of(client, upload):
    return client.get(page("pools_pendingimport_change", upload.pk)).content.decode()


def texts():
    return list(Key.objects.order_by("id").values_list("key", flat=True))


class TestSeveralFiles:
    def test_files_and_pasted_text_are_one_batch(self, client, acme):
        upload = send(
            client, acme, file("a.csv", "id,key\n1,KEY-0003\n"), file("b.txt", "KEY-0004\n"), keys="KEY-0001\nKEY-0002"
        )
        assert (upload.state, upload.report["good"]) == ("checked", 4)

        press(client, upload, "all")

        key_import = KeyImport.objects.get()
        assert texts() == numbered(4)
        assert (key_import.added, key_import.source) == (4, "pasted keys, a.csv, b.txt")

    def test_preview_says_how_each_file_was_read(self, client, acme):
        upload = send(client, acme, file("a.csv", "id;key\n1;KEY-0001\n"), file("b.txt", "KEY-0002\n"))

        text = text_of(client, upload)

        assert "CSV, UTF-8, columns separated by semicolons. The keys are in the column key." in text
        assert re.findall(r"<h2><bdi>(.*)</bdi></h2>", text) == ["a.csv", "b.txt"]

    def test_preview_shows_other_operators_no_column_names(self, client, acme):
        """A row of keys that was taken for the header."""
        upload = send(client, acme, keys="KEY-0001,NOTE-0001\nKEY-0002,NOTE-0002\n")
        upload = press(client, upload, "check", header="yes", column="1")
        other = signed_in(staff(acme, email="bob@acme.test"))

        own, others = text_of(client, upload), text_of(other, upload)

        assert upload.state == "checked"
        assert "The keys are in the column KEY-0001." in own
        assert "columns separated by commas. The first row is a header, not a key." in others
        assert "-0001" not in others

    def test_skipped_lines_name_their_file(self, client, acme):
        upload = send(client, acme, file("a.txt", "KEY-0001\n"), file("b.txt", "KEY-0001\nx\n"))

        rows = client.get(page("pools_pendingimport_rejected", upload.pk))

        lines = b"".join(rows.streaming_content).decode().splitlines()
        assert lines[0] == "file,line,code,reason,text"
        assert lines[1].startswith("b.txt,2,too_short,") or lines[1].startswith("b.txt,1,repeated,")
        assert {line.split(",")[0] for line in lines[1:]} == {"b.txt"}
        assert "Same as line 1 of a.txt" in text_of(client, upload)

    def test_refusal_names_the_file(self, client, acme):
        upload = send(client, acme, file("a.txt", "KEY-0001\n"), file("b.txt", ""), file("c.txt", "KEY-0002\n"))

        assert (upload.state, upload.problem.partition(":")[0]) == ("failed", "b.txt")

    def test_a_question_is_about_one_of_the_files(self, client, acme):
        upload = send(client, acme, file("a.txt", "KEY-0001\n"), file("b.csv", "Game,Note\nX,KEY-0002\nX,KEY-0003\n"))
        assert upload.report["question"]["file"] == 1
        assert 'name="place" value="1"' in text_of(client, upload)

        upload = press(client, upload, "check", place="1", column="2")

        assert (upload.state, upload.report["good"]) == ("checked", 3)
        press(client, upload, "all")
        assert texts() == numbered(3)

    def test_options_of_one_file_leave_the_others(self, client, acme):
        latin = SimpleUploadedFile("b.txt", "SCHLÜSSEL-1\n".encode("windows-1252"))
        upload = send(client, acme, file("a.txt", "ÖFFNER-0001\n"), latin)
        assert upload.problem.startswith("b.txt: ")

        upload = press(client, upload, "fix", "encoding=windows-1252")
        press(client, upload, "all")

        assert texts() == ["ÖFFNER-0001", "SCHLÜSSEL-1"]

    def test_files_have_a_common_limit_when_unpacked(self, client, acme, settings):
        settings.MAX_DIRECT_IMPORT_BYTES = 0
        upload = send(client, acme, file("a.txt", "KEY-0001\n"), file("b.txt", "KEY-0002\n"))
        settings.MAX_IMPORT_BYTES = 15

        run_waiting_imports(wait=False)

        upload.refresh_from_db()
        assert (upload.state, "too large together" in upload.problem) == ("failed", True)

    def test_files_have_a_common_limit_as_sent(self, client, acme, settings):
        settings.MAX_IMPORT_BYTES = 15

        response = client.post(
            page("pools_pendingimport_import", acme.policy.pk),
            {"file": [file("a.txt", "KEY-0001\n"), file("b.txt", "KEY-0002\n")]},
        )

        assert "The file is too large" in response.content.decode()
        assert not PendingImport.objects.exists()

    def test_the_number_of_files_is_limited(self, client, acme):
        response = client.post(
            page("pools_pendingimport_import", acme.policy.pk),
            {"keys": "KEY-0001\n", "file": [file(f"{number}.txt", "x") for number in range(MAX_FILES + 1)]},
        )

        text = response.content.decode()
        assert f"Choose {MAX_FILES} files at most." in text
        assert "KEY-0001" in text


class TestPreview:
    def test_columns_are_shown_and_another_one_is_chosen(self, client, acme):
        upload = send(client, acme, keys="key,serial\nWRONG-0001,KEY-0001\nWRONG-0002,KEY-0002\n", column="1")
        text = text_of(client, upload)
        assert "<code>KEY-0001</code><code>KEY-0002</code>" in text
        assert "has the keys" in text

        upload = press(client, upload, "pick", "0:2")
        press(client, upload, "all")

        assert texts() == numbered(2)

    def test_spaces_are_removed_by_one_button(self, client, acme):
        upload = send(client, acme, keys="KEY-0001 \nKEY-0002\n")
        assert 'name="fix" value="trim=on"' in text_of(client, upload)

        upload = press(client, upload, "fix", "trim=on")

        assert (upload.report["good"], upload.report["trimmed"]) == (2, 1)

    def test_option_that_a_refused_file_names_is_a_button(self, client, acme):
        upload = send(client, acme, SimpleUploadedFile("keys.txt", "SCHLÜSSEL-1\n".encode("windows-1252")))
        text = text_of(client, upload)
        assert "Use Encoding: windows-1252" in text
        assert "(API)" not in text

        upload = press(client, upload, "fix", "encoding=windows-1252")

        assert upload.state == "checked"

    @pytest.mark.parametrize("fix", ["nonsense=1", "encoding=" + "x" * 99, "", "used_rows=never", "place=7"])
    def test_unknown_fixes_change_nothing(self, client, acme, fix):
        upload = send(client, acme, keys="KEY-0001\n")

        upload = press(client, upload, "fix", fix)

        assert (upload.state, upload.report["good"]) == ("checked", 1)

    def test_preview_shows_the_new_stock_and_how_long_it_lasts(self, client, acme):
        add_keys(acme.policy, "OLD-KEY-0001")
        acme.policy.created = timezone.now() - timedelta(days=60)
        acme.policy.save()
        today = timezone.now().date()
        DailyPopCount.objects.bulk_create(
            DailyPopCount(policy=acme.policy, day=today - timedelta(days=number), popped=10) for number in range(1, 29)
        )

        text = text_of(client, send(client, acme, keys="\n".join(numbered(20))))

        assert "will hold <strong>21 keys</strong>, gone" in text

    def test_used_keys_do_not_count_as_available(self, client, acme):
        upload = send(client, acme, keys="key,status\nKEY-0001,sold\nKEY-0002,free\n", used_rows="used")

        assert "will hold <strong>1 key</strong>" in text_of(client, upload)

    def test_name_is_suggested(self, client, acme):
        day = f"{date.today():%-d %b %Y}"
        for sent, name in (
            ({"keys": "KEY-0001\n"}, f"Pasted on {day}"),
            ({"file": file("acme-po-4711.csv.gz", "x")}, f"acme-po-4711, {day}"),
            ({"file": [file("a.csv", "KEY-0003\n"), file("b.csv", "KEY-0004\n")]}, f"a and 1 more, {day}"),
        ):
            client.post(page("pools_pendingimport_import", acme.policy.pk), sent)
            upload = PendingImport.objects.first()
            if upload.state == "checked":
                assert f'value="{name}"' in text_of(client, upload)
                press(client, upload, "skip" if upload.report["rejected"] else "all")
                assert KeyImport.objects.first().name == name

    def test_name_is_changed_in_the_preview(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n", name="First name")

        press(client, upload, "all", name="ACME PO 4711")

        assert KeyImport.objects.get().name == "ACME PO 4711"

    def test_cancel_deletes_what_was_sent(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n")

        assert press(client, upload, "discard") is None
        assert texts() == []

    def test_others_cannot_cancel(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n")

        signed_in(staff(acme, email="bob@acme.test")).post(
            page("pools_pendingimport_change", upload.pk), {"discard": "yes"}
        )

        assert PendingImport.objects.exists()


class TestFixAndRetry:
    def retry(self, client, acme, upload, **values):
        address = page("pools_pendingimport_import", acme.policy.pk)
        return client.get(address, {"retry": upload.pk}), lambda **more: client.post(
            address, {"retry": str(upload.pk), **values, **more}
        )

    def test_text_name_and_options_are_still_there(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\nshort\n", name="Batch", trim="on")
        assert f"?retry={upload.pk}" in text_of(client, upload)

        response, again = self.retry(client, acme, upload)

        form = response.context["form"]
        assert (form["keys"].value(), form["name"].value(), form["trim"].value()) == (
            "KEY-0001\nshort\n",
            "Batch",
            True,
        )
        again(keys="KEY-0001\nKEY-0002\n")
        changed = PendingImport.objects.get()  # the first one was replaced
        assert (changed.pk != upload.pk, changed.report["good"]) == (True, 2)

    def test_files_are_kept(self, client, acme):
        upload = send(client, acme, file("a.txt", "KEY-0001\n"), file("b.txt", "KEY-0002\n"), keys="KEY-0003\n")
        response, again = self.retry(client, acme, upload)
        assert [label for _, label in response.context["form"].fields["kept"].choices] == [
            "a.txt (1 KB)",
            "b.txt (1 KB)",
        ]

        again(keys="", kept=["2"])

        changed = PendingImport.objects.get()
        assert [each["name"] for each in changed.files] == ["b.txt"]
        press(client, changed, "all")
        assert texts() == ["KEY-0002"]

    def test_files_that_are_gone_are_asked_for(self, client, acme):
        upload = send(client, acme, file("a.txt", "KEY-0001\n"))
        _, again = self.retry(client, acme, upload)
        again(keys="", kept=["0"])

        response = again(keys="KEY-0002\n", kept=["0"])

        assert "Choose them again." in response.content.decode()
        assert PendingImport.objects.count() == 1

    def test_failed_retry_loses_nothing(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n")
        _, again = self.retry(client, acme, upload)

        response = again(keys=" ")

        assert "Paste some keys, or choose a file." in response.content.decode()
        assert PendingImport.objects.get() == upload

    def test_others_do_not_see_the_text(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n")
        other = signed_in(staff(acme, email="bob@acme.test"))

        response, again = self.retry(other, acme, upload)
        again(keys="", kept=["0"])

        assert "KEY-0001" not in response.content.decode()
        assert PendingImport.objects.get() == upload

    def test_an_imported_file_is_not_offered_again(self, client, acme):
        upload = send(client, acme, keys="KEY-0001\n")
        press(client, upload, "all")

        response, _ = self.retry(client, acme, upload)

        assert response.context["form"].retried is None


class TestStart:
    def test_pool_is_chosen_with_the_keys(self, client, acme):
        other = make_policy(acme.product, "Other", use_pool=True)
        assert "Other" in client.get(page("pools_pendingimport_start")).content.decode()

        client.post(page("pools_pendingimport_start"), {"pool": other.pk, "keys": "KEY-0001\n"})

        assert PendingImport.objects.get().policy == other

    def test_pools_of_other_accounts_are_neither_offered_nor_taken(self, client, acme, rival):
        text = client.get(page("pools_pendingimport_start")).content.decode()
        response = client.post(page("pools_pendingimport_start"), {"pool": rival.policy.pk, "keys": "KEY-0001\n"})

        assert str(rival.policy.pk) not in text
        assert (response.status_code, PendingImport.objects.exists()) == (200, False)

    def test_missing_pool_keeps_the_text(self, client, acme):
        make_policy(acme.product, "Other", use_pool=True)

        response = client.post(page("pools_pendingimport_start"), {"keys": "KEY-0001\n"})

        assert response.context["form"]["keys"].value() == "KEY-0001\n"

    def test_only_operators_import(self, acme):
        for group in ("Support", "Auditor"):
            client = signed_in(staff(acme, group))
            assert client.get(page("pools_pendingimport_start")).status_code == 403
            assert client.post(page("pools_pendingimport_start"), {"keys": "KEY-0001\n"}).status_code == 403
