"""Workers of imports in the background: exactly once, also when they die."""

import signal
import subprocess
import time

import pytest
from django.utils import timezone

from pools.import_locks import ImportBusy, try_slots
from pools.models import Key, KeyImport, PendingImport
from pools.models.pending_imports import INTERRUPTED_AFTER
from pools.services import import_processing, import_workers
from pools.services.import_workers import MAX_INTERRUPTIONS, WORKER_LOCK, resume_imports, run_waiting_imports
from tests.cast import numbered
from tests.pools.background import attributes_of, send, waiting
from tests.processes import manage_here
from tests.races import race

LONG_AGO = INTERRUPTED_AFTER * 2


def interrupt(pending):
    """Make a pending import that of a worker that has died."""
    PendingImport.objects.filter(pk=pending.pk).update(queued=None, alive=timezone.now() - LONG_AGO, claims=1)


def wait_until(holds):
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


class TestResuming:
    def test_import_of_a_dead_worker_is_done_by_the_next(self, acme, api, path):
        pending = waiting(api(acme.admin), path)
        interrupt(pending)

        run_waiting_imports(wait=False)

        pending.refresh_from_db()
        assert (pending.state, pending.interruptions, Key.objects.count()) == ("done", 1, 2)

    def test_import_of_a_living_worker_is_left_to_it(self, acme, api, path):
        pending = waiting(api(acme.admin), path)
        assert PendingImport.objects.claim_next() == pending

        run_waiting_imports(wait=False)

        assert attributes_of(api(acme.admin), api(acme.admin).get(f"key-imports/{pending.pk}"))["state"] == "running"
        assert not Key.objects.exists()

    def test_worker_that_only_seemed_dead_adds_nothing(self, acme, api, path, monkeypatch):
        pending = waiting(api(acme.admin), path)
        stage = import_processing.stage_import

        def stage_late(**options):
            # Meanwhile the worker was taken for dead.
            PendingImport.objects.filter(pk=pending.pk).update(claims=pending.claims + 7)
            return stage(**options)

        monkeypatch.setattr("pools.services.import_processing.stage_import", stage_late)
        run_waiting_imports(wait=False)

        pending.refresh_from_db()
        assert (pending.state, Key.objects.count(), KeyImport.objects.count()) == ("importing", 0, 0)

    def test_file_that_kills_its_workers_is_given_up(self, acme, api, path):
        pending = waiting(api(acme.admin), path)
        interrupt(pending)
        PendingImport.objects.update(interruptions=MAX_INTERRUPTIONS - 1)

        run_waiting_imports(wait=False)

        found = api(acme.admin).get(f"key-imports/{pending.pk}").json()["data"]["attributes"]
        assert (found["state"], found["error"]["code"]) == ("failed", "IMPORT_GIVEN_UP")
        assert not Key.objects.exists()

    def test_worker_that_is_stopped_leaves_the_file_to_the_next(self, acme, api, path, monkeypatch):
        pending = waiting(api(acme.admin), path)

        def stop(pending):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr("pools.services.import_workers.process", stop)
            with pytest.raises(SystemExit):
                run_waiting_imports(wait=False)

        pending.refresh_from_db()
        assert (pending.needs_worker, pending.interruptions) == (True, 0)
        run_waiting_imports(wait=False)
        assert Key.objects.count() == 2

    def test_failure_of_one_file_does_not_stop_the_others(self, acme, rival, api, path, monkeypatch, caplog):
        first = waiting(api(acme.admin), path)
        second = waiting(api(rival.admin, "rival"), f"policies/{rival.policy.pk}/pool/actions")
        stage = import_processing.stage_import

        def stage_but_first(**options):
            if options["import_id"] == first.pk:
                raise ZeroDivisionError
            return stage(**options)

        monkeypatch.setattr("pools.services.import_processing.stage_import", stage_but_first)
        run_waiting_imports(wait=False)

        first.refresh_from_db(), second.refresh_from_db()
        assert (first.state, first.error["code"], second.state) == (
            "failed",
            import_processing.ImportFailed.code,
            "done",
        )
        assert "ZeroDivisionError" in caplog.text

    def test_server_that_starts_resumes(self, acme, api, path, monkeypatch):
        started = []
        monkeypatch.setattr("pools.services.import_workers.start_worker", lambda: started.append(1))

        resume_imports()
        assert started == []
        interrupt(waiting(api(acme.admin), path))
        resume_imports()

        assert started == [1]

    def test_who_looks_at_a_waiting_import_starts_a_worker(self, acme, api, path, monkeypatch):
        started = []
        monkeypatch.setattr("pools.api.key_imports.start_worker", lambda: started.append(1))
        pending = waiting(api(acme.admin), path)

        api(acme.admin).get(f"key-imports/{pending.pk}")
        run_waiting_imports(wait=False)
        api(acme.admin).get(f"key-imports/{pending.pk}")

        assert started == [1]


class TestClaims:
    def test_no_two_workers_are_busy_with_the_same_account(self, acme, rival, api, path):
        first = waiting(api(acme.admin), path)
        waiting(api(acme.admin), path)
        third = waiting(api(rival.admin, "rival"), f"policies/{rival.policy.pk}/pool/actions")

        claimed = [PendingImport.objects.claim_next() for _ in range(3)]

        assert claimed == [first, third, None]

    def test_account_with_another_import_is_passed_over(self, acme, rival, api, path, monkeypatch):
        first = waiting(api(acme.admin), path)
        second = waiting(api(rival.admin, "rival"), f"policies/{rival.policy.pk}/pool/actions")
        process = import_workers.process

        def process_but_first(pending):
            if pending == first:
                raise ImportBusy
            process(pending)

        with monkeypatch.context() as patch:
            patch.setattr("pools.services.import_workers.process", process_but_first)
            run_waiting_imports(wait=False)

        first.refresh_from_db(), second.refresh_from_db()
        assert (first.needs_worker, first.interruptions, second.state) == (True, 0, "done")
        run_waiting_imports(wait=False)
        assert Key.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_import_each_file_once(acme, rival, api, path):
    pools = [(api(acme.admin), path), (api(rival.admin, "rival"), f"policies/{rival.policy.pk}/pool/actions")]
    for client, pool in pools:
        for number in range(3):
            send(client, pool, f"KEY-000A-{number}\nKEY-000B-{number}\n".encode())

    race(4, run_waiting_imports)

    assert set(PendingImport.objects.values_list("state", flat=True)) == {"done"}
    assert (Key.objects.count(), KeyImport.objects.count()) == (12, 6)


class TestProcess:
    """The real process, as the server starts it."""

    pytestmark = pytest.mark.django_db(transaction=True)

    def test_process_is_started_and_ends(self, acme, api, path, import_workers):
        send(api(acme.admin), path, "\n".join(numbered(3)).encode())

        wait_until(lambda: PendingImport.objects.get().state == "done")

        assert Key.objects.count() == 3
        wait_until(no_worker_runs)

    def test_file_is_begun_again_after_a_kill(self, acme, api, path, import_workers, monkeypatch):
        processes, start = [], subprocess.Popen

        def popen(*arguments, **options):
            processes.append(start(*arguments, **options))
            return processes[-1]

        monkeypatch.setattr("pools.services.import_workers.subprocess.Popen", popen)
        body = b"\n".join(b"KEY-%09d" % number for number in range(150_000))
        send(api(acme.admin), path, body)
        wait_until(lambda: PendingImport.objects.get().lines > 0)

        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait(timeout=30)

        assert PendingImport.objects.get().state == "importing"
        assert not Key.objects.available().exists()
        PendingImport.objects.update(alive=timezone.now() - LONG_AGO)
        run_waiting_imports(wait=False)
        assert (Key.objects.available().count(), KeyImport.objects.count()) == (150_000, 1)


def no_worker_runs():
    lock = try_slots(WORKER_LOCK, 1)
    if lock:
        lock.close()
    return lock is not None


@pytest.mark.django_db(transaction=True)
def test_one_worker_more_than_allowed_does_nothing(acme, api, path, settings):
    settings.IMPORT_WORKERS = 1
    pending = waiting(api(acme.admin), path)

    with try_slots(WORKER_LOCK, 1):
        outcome = manage_here("run_imports")

    pending.refresh_from_db()
    assert (outcome.code, pending.needs_worker) == (0, True)
    assert manage_here("run_imports").code == 0
    pending.refresh_from_db()
    assert pending.state == "done"
