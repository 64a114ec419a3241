"""If the database takes too long or does not answer, the response is 503 and says to try again."""

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import psycopg
import pytest
from django.db import DatabaseError, InternalError, OperationalError, connection
from django.test import Client

from keygen_site.db.session_limits import is_timeout, is_unavailable
from pools import popping
from tests.cast import add_keys, numbered
from tests.errors import assert_refused, explained

ROOT = Path(__file__).parent.parent
BUSY = explained(
    {
        "title": "Service unavailable",
        "detail": "The server is busy: another request holds a lock that this one needs. Please try again.",
        "code": "BUSY",
    }
)
UNAVAILABLE = explained(
    {
        "title": "Service unavailable",
        "detail": "The server cannot reach its database. Please try again, with the same Idempotency-Key if the "
        "request may have had its effect.",
        "code": "UNAVAILABLE",
    }
)


def error_of(state, kind=OperationalError):
    """The error that Django makes of one of psycopg's."""
    error = kind("as PostgreSQL puts it")
    error.__cause__ = psycopg.errors.lookup(state)() if state else psycopg.OperationalError("connection refused")
    return error


@pytest.mark.parametrize(
    ("error", "timeout", "unavailable"),
    [
        (error_of("55P03"), True, False),
        (error_of("40P01"), True, False),
        (error_of("57014"), True, False),
        (error_of("25P03", InternalError), True, False),
        (OperationalError("database is locked"), True, False),
        (error_of(None), False, True),
        (error_of("08006"), False, True),
        (error_of("57P01"), False, True),
        (error_of("57P03"), False, True),
        (error_of("53300"), False, True),
        (error_of("25006", InternalError), False, True),
        (error_of("42P01", DatabaseError), False, False),
        (error_of("23505", DatabaseError), False, False),
        (OperationalError("no such table: pools_key"), False, False),
    ],
    ids=lambda value: getattr(value.__cause__, "sqlstate", str(value)) if isinstance(value, Exception) else None,
)
def test_errors_that_can_be_retried_differ_from_permanent_ones(error, timeout, unavailable):
    assert (is_timeout(error), is_unavailable(error)) == (timeout, unavailable)


def pop_one(api, company, **headers):
    """By the operation that finds the policy first, on both databases."""
    return api(company.admin).post(f"policies/{company.policy.pk}/pool/actions/pop", {"meta": {"count": 1}}, **headers)


@pytest.mark.postgresql
def test_a_statement_that_takes_too_long_has_no_effect(acme, api, monkeypatch):
    add_keys(acme.policy, *numbered(1))

    def sleepy(*args, **options):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '20ms'")
            cursor.execute("SELECT pg_sleep(10)")

    monkeypatch.setattr("pools.models.keys.pop_next_key", sleepy)
    response = pop_one(api, acme)

    assert_refused(response, 503, BUSY)
    assert response["Retry-After"] == "1"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_waits_too_long_has_no_effect(acme, api, monkeypatch, audit):
    add_keys(acme.policy, *numbered(1))
    pop_next_key = popping.pop_next_key

    def sleepy(*args, **options):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
            pop_next_key(*args, **options)
            time.sleep(0.5)
            cursor.execute("SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr("pools.models.keys.pop_next_key", sleepy)
        response = pop_one(api, acme, Idempotency_Key="once")
    connection.close()  # as the server does when a request is over

    assert_refused(response, 503, BUSY)
    assert acme.policy.pool.pop(audit).key == "KEY-0001"


@pytest.mark.parametrize("state", [None, "57P01"])
def test_a_database_that_is_gone_is_said_to_be(acme, api, state):
    with mock.patch("pools.models.keys.pop_next_key", side_effect=error_of(state)):
        response = pop_one(api, acme)

    assert_refused(response, 503, UNAVAILABLE)
    assert response["Retry-After"] == "2"


@pytest.mark.parametrize(("state", "error"), [("57014", BUSY), (None, UNAVAILABLE)])
def test_middleware_reports_database_errors_too(acme, state, error):
    client = Client(raise_request_exception=False)
    with mock.patch("accounts.signing.middleware.cached_private_key", side_effect=error_of(state)):
        response = client.get("/v1/accounts/acme/keys")

    assert response.status_code == 503
    assert "Retry-After" in response
    assert response.json()["errors"] == [error]


@pytest.mark.parametrize("state", ["57014", None])
def test_pages_say_so_in_words(db, state):
    client = Client(raise_request_exception=False)
    with mock.patch("django.contrib.sessions.backends.db.SessionStore.load", side_effect=error_of(state)):
        client.cookies["sessionid"] = "some-session"
        response = client.get("/admin/", follow=False)

    assert response.status_code == 503
    assert "Retry-After" in response
    assert b"try again" in response.content


def test_any_other_mistake_stays_one(acme):
    client = Client(raise_request_exception=False)
    with mock.patch("accounts.signing.middleware.cached_private_key", side_effect=error_of("42P01", DatabaseError)):
        response = client.get("/v1/accounts/acme/keys")

    assert response.status_code == 500
    assert "Retry-After" not in response


def session(program, **environment):
    """Three PostgreSQL settings of the session of a process that runs a program before it connects."""
    shown = "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"
    program += f"""
from django.db import connection
with connection.cursor() as cursor:
    for name in {shown}:
        cursor.execute("SELECT current_setting(%s)", [name])
        print(cursor.fetchone()[0])
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "keygen_site.settings"} | environment
    command = [sys.executable, "-c", program]
    outcome = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return outcome.stdout.split()


SERVES = "import keygen_site.wsgi"
COMMANDS = "import django; django.setup()"


@pytest.mark.postgresql
def test_requests_have_time_limits_and_commands_only_a_lock_timeout():
    assert session(SERVES) == ["2s", "30s", "1min"]
    assert session(COMMANDS) == ["2s", "0", "0"]


@pytest.mark.postgresql
def test_limits_can_be_set():
    limits = {"LOCK_TIMEOUT": "0.5", "STATEMENT_TIMEOUT": "90", "IDLE_TRANSACTION_TIMEOUT": "0"}

    assert session(SERVES, **limits) == ["500ms", "90s", "0"]


@pytest.mark.postgresql
def test_options_in_the_database_url_are_kept():
    url = os.environ["DATABASE_URL"] + "?options=-c%20statement_timeout%3D7s"

    assert session(COMMANDS, DATABASE_URL=url) == ["2s", "7s", "0"]


@pytest.mark.postgresql
def test_nothing_is_said_to_a_pooler():
    assert session(SERVES, CONNECTION_POOLER="true") == ["0", "0", "0"]
