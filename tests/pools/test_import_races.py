"""Imports concurrent with pops, licenses and each other, and imports that are killed."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.key_files import Line, Reason
from pools.models import Key, KeyEvent, KeyImport
from pools.services.imports import ImportRejected, import_keys, stage_import
from tests.cast import add_keys, numbered
from tests.processes import url_of_database
from tests.races import Holder, race, race_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("pools.services.import_chunks.CHUNK_LINES", 3)


def lines(texts):
    return [Line(number, text) for number, text in enumerate(texts, 1)]


def elsewhere(work):
    """The function's result or exception, from a thread with its own connection."""
    (result,) = race(1, work)
    return result


def test_import_shows_no_key_before_all_are_stored(pooled_policy, audit):
    with stage_import(policy=pooled_policy, files=[lines(numbered(7))], audit=audit) as unpublished:
        assert isinstance(elsewhere(lambda: pooled_policy.pool.pop(audit)), PoolEmpty)
        assert elsewhere(lambda: pooled_policy.pool.available().count()) == 0
        assert elsewhere(lambda: pooled_policy.pool.published().count()) == 0
        unpublished.publish()

    assert elsewhere(lambda: pooled_policy.pool.available().count()) == 7
    assert elsewhere(lambda: pooled_policy.pool.pop(audit)).key == "KEY-0001"


def test_pops_go_on_while_an_import_runs(pooled_policy, audit):
    add_keys(pooled_policy, "OLD-KEY-0001", "OLD-KEY-0002")
    popped = []

    def slow_file():
        for line in lines(numbered(7)):
            yield line
            if line.number == 5:
                popped.append(pooled_policy.pool.pop(audit))
                connection.close()

    with stage_import(policy=pooled_policy, files=[slow_file()], audit=audit) as unpublished:
        popped.append(elsewhere(lambda: pooled_policy.pool.pop(audit)))
        unpublished.publish()

    assert [key.key for key in popped] == ["OLD-KEY-0001", "OLD-KEY-0002"]
    assert pooled_policy.pool.pop(audit).key == "KEY-0001"


def test_two_imports_at_once_add_the_union(pooled_policy, audit):
    first, second = numbered(30)[:20], numbered(30)[10:]

    def add(texts):
        return import_keys(policy=pooled_policy, files=[lines(texts)], audit=audit, skip_invalid=True)

    reports = race_of([lambda: add(first), lambda: add(second)])

    assert sorted(report.added for report in reports) == [10, 20]
    assert sorted(pooled_policy.pool.available().values_list("key", flat=True)) == numbered(30)


def test_a_single_key_that_came_meanwhile_is_reported(pooled_policy, audit):
    def file():
        yield from lines(numbered(3))
        add_keys(pooled_policy, "KEY-0005")
        connection.close()
        yield from lines(numbered(6))[3:]

    report = import_keys(policy=pooled_policy, files=[file()], audit=audit, skip_invalid=True)

    assert [(found.line, found.reason) for found in report.first] == [(5, Reason.AVAILABLE)]
    assert report.added == 5


@pytest.mark.sqlite
def test_an_import_waits_for_another_one_on_sqlite(pooled_policy, audit, monkeypatch):
    """An import removes the rows of killed imports. It must not take a running import for a killed one."""
    asked, lock = Event(), fcntl.flock

    def flock(*arguments):
        asked.set()
        lock(*arguments)

    def add_second():
        try:
            return import_keys(policy=pooled_policy, files=[lines(numbered(5)[3:])], audit=audit)
        finally:
            asked.set()
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        with stage_import(policy=pooled_policy, files=[lines(numbered(3))], audit=audit) as first:
            monkeypatch.setattr("pools.import_locks.fcntl.flock", flock)
            second = thread.submit(add_second)
            assert asked.wait(timeout=30)
            first.publish()
        report = second.result(timeout=60)

    assert (first.report.added, report.added) == (3, 2)
    assert sorted(pooled_policy.pool.available().values_list("key", flat=True)) == numbered(5)


def issue(acme, audit, key):
    return issue_license(policy=acme.unpooled, audit=audit, key=key)


@pytest.mark.parametrize("skip_invalid", [False, True])
@pytest.mark.postgresql
def test_a_license_that_got_the_text_meanwhile_keeps_it(acme, audit, skip_invalid):
    files = [lines(numbered(7))]

    def add():
        with stage_import(policy=acme.policy, files=files, audit=audit, skip_invalid=skip_invalid) as unpublished:
            elsewhere(lambda: issue(acme, audit, "KEY-0002"))
            unpublished.publish()
            return unpublished.report

    if skip_invalid:
        report = add()
        assert (report.added, report.reasons) == (6, {Reason.LICENSE: 1})
    else:
        with pytest.raises(ImportRejected):
            add()
    texts = set(Key.objects.values_list("key", flat=True))
    assert texts == (set(numbered(7)) - {"KEY-0002"} if skip_invalid else set())
    assert License.objects.get().key == "KEY-0002"


@pytest.mark.postgresql
def test_an_import_waits_for_a_license_that_is_just_being_made(acme, audit):
    with Holder(lambda: issue(acme, audit, "KEY-0002")) as maker:

        def add():
            return import_keys(policy=acme.policy, files=[lines(numbered(7))], audit=audit)

        def let_go():
            wait_for("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            maker.let_go(commit=True)

        report, _ = race_of([add, let_go])

    assert report.reasons == {Reason.LICENSE: 1}
    assert not Key.objects.exists()


@pytest.mark.postgresql
def test_a_license_waits_for_an_import_that_is_just_being_published(acme, audit):
    def add():
        with stage_import(policy=acme.policy, files=[lines(numbered(7))], audit=audit) as unpublished:
            unpublished.publish()

    with Holder(lambda: add_inside(acme, audit)) as importer:

        def let_go():
            wait_for("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            importer.let_go(commit=True)

        result, _ = race_of([lambda: issue(acme, audit, "KEY-0002"), let_go])

    assert isinstance(result, ValidationError)
    assert not License.objects.exists()
    assert Key.objects.count() == 7


def add_inside(acme, audit):
    import_keys(policy=acme.policy, files=[lines(numbered(7))], audit=audit)


def wait_for(sql):
    """Until a query counts something."""
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(sql)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)
    raise AssertionError(sql)


WRITTEN = {
    "sqlite": "SELECT count(*) FROM pools_key",
    "postgresql": """SELECT count(*) FROM pg_stat_activity
                     WHERE query LIKE 'COPY pools_key%' AND datname = current_database()""",
}


@pytest.mark.parametrize("options", [[], ["--skip-invalid"]])
def test_nothing_is_left_of_an_import_that_was_killed(pooled_policy, audit, options):
    command = [sys.executable, "manage.py", "import_keys", "-", "--policy", str(pooled_policy.pk), *options]
    process = subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": url_of_database()},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    texts = [f"KEY-{number:06}" for number in range(40_000)]
    process.stdin.write("\n".join(texts).encode())  # and no end: it waits for more
    process.stdin.flush()
    wait_for(WRITTEN[connection.vendor])
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdin.close()

    assert pooled_policy.pool.available().count() == 0
    with pytest.raises(PoolEmpty):
        pooled_policy.pool.pop(audit)

    report = import_keys(policy=pooled_policy, files=[lines(texts[:10])], audit=audit)

    assert report.added == 10
    assert (Key.objects.count(), KeyImport.objects.count(), KeyEvent.objects.count()) == (10, 1, 1)
    assert pooled_policy.pool.pop(audit).key == texts[0]
