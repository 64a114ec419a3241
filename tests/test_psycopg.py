"""psycopg caches the translation of long statements, and parses timestamps in C."""

from datetime import UTC, datetime

import pytest
from django.db import DataError, connection
from psycopg._queries import _query2pg
from psycopg.postgres import types
from psycopg.pq import Format

from accounts.models import Account

pytestmark = pytest.mark.postgresql
TIMES = [
    datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


def read(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_timestamp_is_read_in_utc(db, time):
    found = read("SELECT %s::timestamptz", time)

    assert found == time
    assert found.tzinfo is UTC
    assert read("SELECT %s::text::timestamptz", "2030-07-01 12:00:00+05:45") == datetime(2030, 7, 1, 6, 15, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("text", ["infinity", "20000-01-01", "0100-01-01 BC"])
def test_timestamp_that_python_lacks_is_an_error(text):
    with pytest.raises(DataError):
        read("SELECT %s::text::timestamptz", text)


def test_timestamp_is_read_in_c(db):
    connection.ensure_connection()
    loader = connection.connection.adapters.get_loader(types["timestamptz"].oid, Format.TEXT)

    assert loader.__module__ == "psycopg_binary._psycopg"


@pytest.mark.parametrize("is_prepared", [True, False])
def test_cursor_on_the_server_reads_timestamps(acme, monkeypatch, is_prepared):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", is_prepared)

    found = list(Account.objects.filter(slug="acme").iterator(chunk_size=1))

    assert [each.created for each in found] == [acme.account.created]
    assert found[0].created.tzinfo is UTC


def test_long_statement_is_translated_once(db):
    long = f"SELECT %s::int -- {'x' * 12_000}"
    read(long, 1)
    hits = _query2pg.cache_info().hits

    assert read(long, 2) == 2
    assert _query2pg.cache_info().hits > hits
