"""When a token was last used: recorded once an hour, outside of the request."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import token_use
from accounts.models import Token
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff

note_use = token_use.note_use


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that would run in the background; `note_use` as it is in production."""
    found = []
    token_use._recent.clear()
    monkeypatch.setattr("accounts.token_use.note_use", note_use)
    monkeypatch.setattr("accounts.background.run_in_background", lambda *job: found.append(job))
    yield found
    token_use._recent.clear()


@pytest.fixture
def token(acme):
    return Token.generate(acme.product, name="Shop EU")


def run(jobs, monkeypatch):
    """Run the jobs, in this thread and with its connection."""
    monkeypatch.setattr("accounts.token_use.connection.close", lambda: None)
    for function, *args in jobs:
        function(*args)
    del jobs[:]


def test_use_of_a_token_is_recorded(api, acme, token, jobs, monkeypatch):
    row, text = token
    before = timezone.now()

    assert api(text).get("me").status_code == 200
    run(jobs, monkeypatch)

    updated = row.updated
    row.refresh_from_db()
    assert before <= row.last_used <= timezone.now()
    assert row.updated == updated


def test_use_is_recorded_once_an_hour(api, acme, token, jobs, monkeypatch):
    row, text = token
    for _ in range(5):
        api(text).get("me")
    assert len(jobs) == 1
    run(jobs, monkeypatch)

    token_use._recent.clear()  # as in another process, or later
    api(text).get("me")
    assert jobs == []

    Token.objects.filter(pk=row.pk).update(last_used=timezone.now() - timedelta(minutes=61))
    api(text).get("me")
    assert len(jobs) == 1


def test_several_processes_write_once(token):
    row, _ = token
    with CaptureQueriesContext(connection) as queries:
        Token.objects.filter(pk=row.pk).record_use()
        first = Token.objects.get(pk=row.pk).last_used
        Token.objects.filter(pk=row.pk).record_use()

    assert Token.objects.get(pk=row.pk).last_used == first
    assert [query["sql"].partition(" ")[0] for query in queries] == ["UPDATE", "SELECT", "UPDATE"]


def test_a_pop_has_no_more_statements(api, acme, token, jobs):
    add_keys(acme.policy, *numbered(3))
    row, text = token
    path = f"policies/{acme.policy.pk}/pool"
    counts = []
    api(text).delete(path)  # fills caches
    for used in (timezone.now(), None):
        token_use._recent.clear()
        Token.objects.filter(pk=row.pk).update(last_used=used)
        with CaptureQueriesContext(connection) as queries:
            assert api(text).delete(path).status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]
    assert len(jobs) == 2  # of the first pop, and of the one for which no use is stored


def test_refused_requests_do_not_count_as_use(api, acme, rival, token, jobs):
    row, text = token
    Token.objects.filter(pk=row.pk).update(expiry=timezone.now())
    _, other = Token.generate(rival.product)

    for credential in (text, other, "nonsense"):
        assert api(credential).get("me").status_code == 401
    assert jobs == []


def test_a_job_closes_its_connection(token, jobs, monkeypatch):
    """Also if it fails: the thread of the background would keep it."""
    closed = []
    monkeypatch.setattr("accounts.token_use.connection.close", lambda: closed.append(True))
    row, _ = token
    note_use(row)
    ((function, *args),) = jobs

    function(*args)

    assert closed == [True]


def test_the_list_of_tokens_shows_the_last_use(acme, token):
    row, _ = token
    client = signed_in(staff(acme))
    assert "never" in client.get(page("accounts_token_changelist")).content.decode()

    used = timezone.now() - timedelta(days=3)
    Token.objects.filter(pk=row.pk).update(last_used=used)

    text = client.get(page("accounts_token_changelist")).content.decode()
    assert f'datetime="{used.isoformat()}"' in text
    revoke = client.get(page("accounts_token_revoke", id=row.pk)).content.decode()
    assert f"It was last used on {used:%-d %b %Y, %H:%M} UTC." in revoke
