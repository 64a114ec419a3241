"""Long work holds no web worker, no connection and no other tenant: imports of keys."""

import gzip
import io
import logging
import threading
from contextlib import contextmanager
from functools import cache
from threading import Event, Thread

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from accounts.audit import AuditContext
from pools.bulk_import import SQLiteImporter
from pools.import_locks import account_lock, request_place
from pools.key_files import FileUnreadable, Line, ReadOptions, open_key_file
from pools.models import Key, PendingImport
from pools.services.import_workers import run_waiting_imports
from pools.services.imports import import_keys, stage_import
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff
from tests.pools.background import send
from tests.races import race

TEXT = "\n".join(numbered(3)).encode()


@cache
@cache
def bomb():
    """Many lines in a small file, as it was sent against the server: 126 kB of gzip are 5,000,000 lines."""
    return gzip.compress(b"KEY-0001\n" * 5_000_000)


@pytest.fixture
def small_allowance(monkeypatch):
    """Look at the ratio of a file of a megabyte already."""
    monkeypatch.setattr("pools.key_files.unpacking._UNSUSPICIOUS_BYTES", 1 << 20)


def lines(texts):
    return [Line(number, text) for number, text in enumerate(texts, 1)]


def pool_of(company):
    return f"policies/{company.policy.pk}/pool/actions"


def elsewhere(work):
    """The function's result or exception, from a thread with its own connection."""
    (result,) = race(1, work)
    return result


class TestPlaces:
    """An import within a request takes a place, or is refused without waiting."""

    def test_import_is_refused_while_the_server_has_no_place(self, acme, rival, api, settings):
        settings.IMPORTS_AT_ONCE = 2
        with request_place(), request_place():
            refused = [
                send(api(company.admin, company.account.slug), pool_of(company), TEXT, query)
                for company in (acme, rival)
                for query in ("", "?dry-run", "?dry-run&skip-invalid")
            ]
        accepted = send(api(acme.admin), pool_of(acme), TEXT, "")

        assert {response.status_code for response in refused} == {503}
        assert {response.json()["errors"][0]["code"] for response in refused} == {"IMPORT_BUSY"}
        assert all(int(response["Retry-After"]) > 0 for response in refused)
        assert "?background=true" in refused[0].json()["errors"][0]["detail"]
        assert accepted.status_code == 200

    def test_place_is_free_again_after_a_refused_file(self, acme, api):
        for body in (b"", b"short\n", b"%PDF-1.7\n", TEXT):
            last = send(api(acme.admin), pool_of(acme), body, "")

        assert last.status_code == 200

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("query", ["", "?dry-run"])
    def test_second_import_of_an_account_is_refused_and_that_of_another_is_not(self, acme, rival, api, query):
        with import_running(acme):
            refused = send(api(acme.admin), pool_of(acme), TEXT, query)
            other = send(api(rival.admin, "rival"), pool_of(rival), TEXT, query)
        again = send(api(acme.admin), pool_of(acme), TEXT, query)

        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "IMPORT_BUSY")
        assert (other.status_code, again.status_code) == (200, 200)

    @pytest.mark.django_db(transaction=True)
    def test_refused_request_can_be_repeated_under_its_key(self, acme, api):
        with import_running(acme):
            refused = send(api(acme.admin), pool_of(acme), TEXT, "", Idempotency_Key="po-4711")

        repeated = send(api(acme.admin), pool_of(acme), TEXT, "", Idempotency_Key="po-4711")

        assert (refused.status_code, repeated.status_code) == (503, 200)
        assert Key.objects.count() == 3

    @pytest.mark.django_db(transaction=True)
    def test_console_leaves_a_file_that_finds_no_place_to_a_worker(self, acme):
        client = signed_in(staff(acme))
        with import_running(acme):
            client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "KEY-0001"})
            pending = PendingImport.objects.get()
            progress = client.get(page("pools_pendingimport_progress", pending.pk)).json()
        run_waiting_imports(wait=False)

        assert (pending.state, pending.needs_worker) == ("checking", True)
        assert progress == {"running": True, "text": "Waiting for another import to end", "share": None}
        pending.refresh_from_db()
        assert pending.state == "checked"


@contextmanager
def import_running(company):
    """Another import of a company runs, in another thread, within this context."""
    runs, ends = Event(), Event()

    def run():
        try:
            audit = AuditContext(operator="tests")
            with stage_import(policy=company.policy, files=[lines(["OTHER-KEY-1"])], audit=audit, dry_run=True):
                runs.set()
                ends.wait(timeout=60)
        finally:
            runs.set()
            connection.close()

    thread = Thread(target=run)
    thread.start()
    assert runs.wait(timeout=60)
    try:
        yield
    finally:
        ends.set()
        thread.join(timeout=60)


class TestBounds:
    def test_small_file_of_many_lines_does_not_keep_the_request(self, acme, api):
        response = send(api(acme.admin), pool_of(acme), bomb(), "?dry-run&skip-invalid", "application/gzip")

        assert len(bomb()) < 150_000
        assert response.status_code == 202

    def test_small_file_of_many_lines_is_refused_by_the_worker(self, acme, api, small_allowance):
        admin = api(acme.admin)
        response = send(admin, pool_of(acme), bomb(), "?skip-invalid", "application/gzip")

        run_waiting_imports(wait=False)

        found = admin.get(response.json()["data"]["links"]["self"]).json()["data"]["attributes"]
        assert (found["state"], found["error"]["code"]) == ("failed", "FILE_UNREADABLE")
        assert "100 times its size" in found["error"]["detail"]
        assert not Key.objects.exists()

    @pytest.mark.without_database
    def test_repetitive_file_of_keys_passes(self, small_allowance):
        # The other columns are the same in all rows.
        row = "KEY-{:08};" + "The Summer Sale, Game of the Year Edition;" * 5
        data = gzip.compress("\n".join(row.format(number * 7919) for number in range(20_000)).encode())
        assert len(data) * 10 < 4_500_000

        file = open_key_file(io.BytesIO(data), ReadOptions(delimiter="semicolon", column="1", header=False))

        assert sum(1 for _ in file) == 20_000

    @pytest.mark.without_database
    def test_bomb_is_refused_when_it_is_read(self):
        with pytest.raises(FileUnreadable, match="unpack it and import that"):
            list(open_key_file(io.BytesIO(bomb()), ReadOptions()))

    @pytest.mark.parametrize("body", [b"KEY-0001\n" * 30, b"KEY-0001\n" + b"\n" * 30], ids=["lines", "blank lines"])
    def test_lines_are_limited(self, acme, api, settings, body):
        settings.MAX_IMPORT_LINES = 20
        admin = api(acme.admin)

        response = send(admin, pool_of(acme), body, "?background&skip-invalid")
        run_waiting_imports(wait=False)

        found = admin.get(response.json()["data"]["links"]["self"]).json()["data"]["attributes"]
        assert found["error"]["detail"] == "The file has more than 20 lines. Import it in several parts"
        assert not Key.objects.exists()

    @pytest.mark.parametrize("query", ["?dry-run", "?dry-run&skip-invalid", "?dry-run&background"])
    @pytest.mark.parametrize("body", [TEXT, b"KEY-0001\nshort\n"])
    def test_dry_runs_are_logged(self, acme, api, caplog, query, body):
        with caplog.at_level(logging.INFO, logger="pools.services.imports"):
            send(api(acme.admin), pool_of(acme), body, query)
            run_waiting_imports(wait=False)

        (record,) = [record for record in caplog.records if record.name == "pools.services.imports"]
        text = record.getMessage()
        assert text.startswith(f"dry run of an import: account {acme.account.pk}, policy {acme.policy.pk}, by users")
        assert str(acme.admin.pk) in text
        assert "KEY" not in text


class TestUploads:
    """However many files are sent, no thread and no connection is theirs."""

    def test_open_files_of_an_account_are_limited(self, acme, rival, api, settings):
        settings.MAX_WAITING_IMPORTS = 3
        client = signed_in(staff(acme))

        sent = [send(api(acme.admin), pool_of(acme), TEXT).status_code for _ in range(4)]
        refused = send(api(acme.admin), pool_of(acme), TEXT)
        shown = client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "KEY-0001"})
        other = send(api(rival.admin, "rival"), pool_of(rival), TEXT)

        assert sent == [202, 202, 202, 503]
        assert refused.json()["errors"][0]["code"] == "TOO_MANY_IMPORTS"
        assert int(refused["Retry-After"]) > 0
        assert "3 files of this account are waiting" in shown.content.decode()
        assert other.status_code == 202
        run_waiting_imports(wait=False)
        assert send(api(acme.admin), pool_of(acme), TEXT).status_code == 202

    @pytest.mark.django_db(transaction=True)
    def test_many_uploads_take_no_connections(self, acme, settings):
        settings.MAX_DIRECT_IMPORT_BYTES, settings.MAX_WAITING_IMPORTS = 10, 200
        client = signed_in(staff(acme))
        threads, sessions = threading.active_count(), count_sessions()

        for number in range(110):
            file = SimpleUploadedFile("keys.txt", f"KEY-{number:08}\n".encode())
            client.post(page("pools_pendingimport_import", acme.policy.pk), {"file": file})

        assert PendingImport.objects.filter(queued__isnull=False).count() == 110
        assert (threading.active_count(), count_sessions()) == (threads, sessions)
        run_waiting_imports(wait=False)
        assert set(PendingImport.objects.values_list("state", flat=True)) == {"checked"}

    def test_old_files_of_an_account_are_deleted(self, acme, api, monkeypatch):
        monkeypatch.setattr("pools.services.pending_imports.MAX_KEPT_IMPORTS", 2)
        for _ in range(5):
            send(api(acme.admin), pool_of(acme), TEXT, "?background&dry-run")
            run_waiting_imports(wait=False)

        assert PendingImport.objects.count() == 2


def count_sessions():
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        clients = "datname = current_database() AND backend_type = 'client backend'"  # not those of autovacuum
        cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {clients}")
        return cursor.fetchone()[0]


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
class TestOneWriter:
    """SQLite has one writer: a dry run is none, and an import is one for a chunk at a time."""

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_others_write_while_an_import_is_staged(self, acme, rival, audit, dry_run):
        add_keys(rival.policy, "OLD-KEY-0001")

        with stage_import(policy=acme.policy, files=[lines(numbered(5))], audit=audit, dry_run=dry_run):
            popped = elsewhere(lambda: rival.policy.pool.pop(audit))
            report = elsewhere(
                lambda: import_keys(policy=rival.policy, files=[lines(numbered(3))], audit=audit, wait=False)
            )

        assert (popped.key, report.added) == ("OLD-KEY-0001", 3)

    def test_others_write_while_a_dry_run_writes_its_chunk(self, acme, rival, audit, monkeypatch):
        add_keys(rival.policy, "OLD-KEY-0001")
        popped, look_up = [], SQLiteImporter._try

        def try_and_pop(importer, cursor):
            refused = look_up(importer, cursor)
            assert not connection.in_atomic_block
            popped.append(elsewhere(lambda: rival.policy.pool.pop(audit)))
            return refused

        monkeypatch.setattr(SQLiteImporter, "_try", try_and_pop)
        import_keys(policy=acme.policy, files=[lines(numbered(3))], audit=audit, dry_run=True)

        assert [key.key for key in popped] == ["OLD-KEY-0001"]

    def test_chunk_is_prepared_outside_of_its_transaction(self, acme, audit):
        in_transaction = []

        def record(execute, sql, params, many, context):
            if sql.startswith("INSERT INTO pools_chunk"):
                in_transaction.append(connection.in_atomic_block)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(record):
            import_keys(policy=acme.policy, files=[lines(numbered(3))], audit=audit)

        assert in_transaction == [False]

    def test_imports_of_an_account_exclude_each_other(self, acme, audit):
        with account_lock(acme.account.pk, wait=True):
            refused = send_busy(acme, audit)

        assert refused == "IMPORT_BUSY"


def send_busy(company, audit):
    (result,) = race(1, lambda: import_keys(policy=company.policy, files=[lines(numbered(3))], audit=audit, wait=False))
    return result.code
