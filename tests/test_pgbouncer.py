"""Behind PgBouncer in transaction mode, where each transaction may have another session of the database."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from benchmarks import poolers

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(poolers.find_program() is None, reason="PgBouncer is not installed: apt-get install pgbouncer"),
]


def run(*arguments, **environment):
    """A program of ours in a process of its own."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "keygen_site.settings"} | environment
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def addresses():
    """A database of its own: its DATABASE_URL, and the one through PgBouncer."""
    name = f"pooled_{uuid4().hex}"
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        direct = f"{server}/{name}"
        with poolers.pgbouncer(direct) as through:
            yield direct, through
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


POOLED = {"CONNECTION_POOLER": "true", "PREPARED_STATEMENTS": "false"}
SHOW_LIMITS = """
import keygen_site.wsgi
from django.db import connection
with connection.cursor() as cursor:
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        cursor.execute("SELECT current_setting(%s)", [name])
        print(cursor.fetchone()[0])
"""


def test_the_limits_are_those_of_the_role(addresses):
    assert run("-c", SHOW_LIMITS, DATABASE_URL=addresses[1], **POOLED).stdout.split() == ["2s", "30s", "1min"]


def test_it_takes_no_settings_of_sessions(addresses):
    """Why CONNECTION_POOLER is there."""
    assert "unsupported startup parameter: options" in run("-c", SHOW_LIMITS, DATABASE_URL=addresses[1]).stderr


def test_a_file_is_imported_and_its_keys_are_popped(addresses, tmp_path):
    direct, through = addresses
    file = tmp_path / "keys.txt"
    file.write_text("".join(f"POOLED-{number:05}\n" for number in range(12_000)))
    assert run("manage.py", "migrate", "--verbosity", "0", "--skip-checks", DATABASE_URL=direct).returncode == 0
    pooled = POOLED | {"DATABASE_URL": through}
    assert run("manage.py", "quickstart", **pooled).returncode == 0
    with psycopg.connect(direct) as session:
        (policy,) = session.execute("SELECT id::text FROM licensing_policy WHERE use_pool").fetchone()
        session.execute("UPDATE pools_key SET withdrawn = now()")

    imported = run("manage.py", "import_keys", str(file), "--policy", policy, **pooled)
    popped = [run("manage.py", "pop_key", "--policy", policy, **pooled).stdout.strip() for _ in range(2)]

    assert imported.returncode == 0, imported.stderr
    assert popped == ["POOLED-00000", "POOLED-00001"]


def test_every_key_is_handed_out_exactly_once():
    program = ["-m", "benchmarks.exactly_once", "--pooler", "--keys", "300", "--clients", "12", "--workers", "3"]
    outcome = run(*program)

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "exactly once: True" in outcome.stdout


def test_no_request_fails_once_it_has_restarted():
    outcome = run("-m", "benchmarks.restarts", "--fault", "pooler", "--rounds", "2")

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_sessions_are_shared(addresses):
    """More clients than sessions are served. The other tests rely on this."""
    clients = [psycopg.connect(addresses[1], autocommit=True, prepare_threshold=None) for _ in range(6)]
    sessions = {client.execute("SELECT pg_backend_pid()").fetchone()[0] for client in clients}
    for client in clients:
        client.close()

    assert len(sessions) <= 2
