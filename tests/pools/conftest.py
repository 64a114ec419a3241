"""Fixtures that several test modules of this folder share."""

import io

import pytest
from django.core.management import CommandError, call_command

from licensing.services import issue_license
from pools.models import KeyEvent
from tests.cast import add_keys, make_policy, numbered
from tests.processes import Outcome


@pytest.fixture
def history(acme, audit):
    """Two keys popped, one issued, in another pool one popped; the lines of the ledger, the oldest first."""
    add_keys(acme.policy, *numbered(3))
    other = make_policy(acme.another_product(), use_pool=True)
    add_keys(other, "OTHER-0001")
    acme.policy.pool.pop(audit)
    issue_license(policy=acme.policy, audit=audit)
    acme.policy.pool.pop(audit)
    other.pool.pop(audit)
    return list(KeyEvent.objects.order_by("id"))


@pytest.fixture
def run(capsys, monkeypatch):
    """`run(…, stdin=…)` is the `Outcome` of a command, in this process."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding="ascii"))
        code, error = 0, ""
        try:
            call_command(*map(str, arguments))
        except CommandError as failed:
            code, error = failed.returncode, str(failed)
        except SystemExit as end:
            code = end.code
        return Outcome(code, capsys.readouterr().out, error)

    return run


@pytest.fixture
def other_policy(acme):
    """Another pool of the same account."""
    return make_policy(acme.product, "Other", use_pool=True)


@pytest.fixture
def act(api, acme):
    """`act("pop", count=2)` does an action of a pool, by default of Acme's and as its admin."""

    def post(action, bearer=None, of=None, idempotency_key=None, **meta):
        pool = f"policies/{(of or acme.policy).pk}/pool"
        headers = {"Idempotency_Key": idempotency_key} if idempotency_key else {}
        return api(bearer or acme.admin).post(f"{pool}/actions/{action}", {"meta": meta}, **headers)

    return post


@pytest.fixture
def path(pooled_policy):
    return f"policies/{pooled_policy.pk}/pool/actions"


@pytest.fixture
def small_chunks(monkeypatch):
    """So that a few lines are several chunks."""
    monkeypatch.setattr("pools.services.import_chunks.CHUNK_LINES", 3)
