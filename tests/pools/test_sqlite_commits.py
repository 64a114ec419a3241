"""How an import commits to SQLite: its chunks do not wait for the disk, the commit that others rely on does."""

import pytest
from django.db import connection, transaction

from accounts.audit import AuditContext
from keygen_site.db.sqlite_commits import USUAL, unsynced_commits
from pools.key_files import Line
from pools.models import Key
from pools.services.imports import stage_import
from tests.cast import numbered

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]

NORMAL, FULL = 1, 2


def value_of(setting):
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {setting}")
        return cursor.fetchone()[0]


@pytest.fixture
def commits():
    """The level of waiting for the disk at each commit, with the number of keys that there are by then."""
    seen = []

    def note(execute, sql, parameters, many, context):
        result = execute(sql, parameters, many, context)
        # Asked within each transaction, where the level cannot change any more.
        if sql.startswith(("INSERT INTO pools_key", 'UPDATE "pools_keyimport"')) and connection.in_atomic_block:
            seen.append((sql.split()[0], value_of("synchronous")))
        return result

    with connection.execute_wrapper(note):
        yield seen


def lines(texts):
    return [Line(number, text) for number, text in enumerate(texts, 1)]


def test_only_publishing_waits_for_the_disk(pooled_policy, small_chunks, commits):
    before = value_of("wal_autocheckpoint")

    with stage_import(policy=pooled_policy, files=[lines(numbered(12))], audit=AuditContext()) as staged:
        assert value_of("synchronous") == FULL
        staged.publish()

    assert Key.objects.available().count() == 12
    inserts = [level for what, level in commits if what == "INSERT"]
    assert len(inserts) > 2
    assert set(inserts) == {NORMAL}
    assert {level for what, level in commits if what == "UPDATE"} == {FULL}
    assert value_of("wal_autocheckpoint") == before == USUAL


def test_failed_import_leaves_the_connection_as_it_was(pooled_policy, small_chunks, monkeypatch):
    monkeypatch.setattr("pools.bulk_import.SQLiteImporter._insert", lambda *_: 1 / 0)

    with (
        pytest.raises(ZeroDivisionError),
        stage_import(policy=pooled_policy, files=[lines(numbered(12))], audit=AuditContext()),
    ):
        pass

    assert (value_of("synchronous"), value_of("wal_autocheckpoint")) == (FULL, USUAL)


def test_commit_of_another_transaction_waits(db):
    with transaction.atomic(), connection.cursor() as cursor, unsynced_commits(cursor):
        assert value_of("synchronous") == FULL
