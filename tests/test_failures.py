"""A command that cannot run says why in a line or two, with a way out; a traceback is for faults of the code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keygen_site.management.failures import explain_database, explain_settings

pytestmark = pytest.mark.without_database
ROOT = Path(__file__).parent.parent
SETTINGS = {"SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz", "ALLOWED_HOSTS": "localhost", "ENV_FILE": os.devnull}


def run(*arguments, **environment):
    """The exit code of `manage.py`, and the lines of its error output."""
    environment = {"PATH": os.environ["PATH"], **SETTINGS, **environment}
    environment = {name: value for name, value in environment.items() if value is not None}
    outcome = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    return outcome.returncode, outcome.stderr.splitlines()


MISTAKES = {
    "no settings": ({"SECRET_KEY": None, "ALLOWED_HOSTS": None}, ["SECRET_KEY: ", "ALLOWED_HOSTS: ", ".env.example"]),
    "no database url": ({"DATABASE_URL": "nonsense"}, ["DATABASE_URL: ", "postgres://user:password@host:5432/name"]),
    "another database": ({"DATABASE_URL": "mysql://a@b/c"}, ["DATABASE_URL: ", "postgres://"]),
    "several": (
        {"DATABASE_URL": "sqlite:///x", "LOCK_TIMEOUT": "abc", "LOG_LEVEL": "LOUD", "THREADS": "0"},
        ["LOCK_TIMEOUT: ", "LOG_LEVEL: ", "THREADS: ", "Example: LOCK_TIMEOUT=2"],
    ),
    "example secret": ({"SECRET_KEY": "replace-me", "DATABASE_URL": "sqlite:///x"}, ["SECRET_KEY: ", "secrets.token"]),
    "no folder": ({"DATABASE_URL": "sqlite:////nowhere/db.sqlite3"}, ["/nowhere/db.sqlite3", "folder exists"]),
    "nothing listens": ({"DATABASE_URL": "postgres://a@127.0.0.1:9/c"}, ["cannot be reached", "DATABASE_URL"]),
    "no such host": ({"DATABASE_URL": "postgres://a@nowhere.invalid/c"}, ["cannot be reached", "DATABASE_URL"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", [["pools"], ["migrate"]])
def test_mistake_in_the_settings_is_explained(mistake, command):
    environment, parts = MISTAKES[mistake]

    code, lines = run(*command, **environment)

    assert code == 1
    assert len(lines) <= len(parts) + 2
    text = "\n".join(lines)
    assert [part for part in parts if part not in text] == []
    assert "Traceback" not in text


def test_database_without_tables_is_explained(tmp_path):
    code, lines = run("pools", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert code == 1
    assert len(lines) == 1
    assert "manage.py migrate" in lines[0]


def test_traceback_is_shown_when_it_is_asked_for(tmp_path):
    _, lines = run("pools", "--traceback", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert lines[0].startswith("Traceback")


# Messages of drivers, as PostgreSQL 15 and psycopg 3 word them.
MESSAGES = {
    'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  password authentication failed '
    'for user "keygen"': "%40",
    'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  database "x" does not exist': (
        "Create the database"
    ),
    'relation "pools_key" does not exist\nLINE 1: SELECT': "manage.py migrate",
    "column pools_key.digest does not exist\nLINE 1: SELECT": "manage.py migrate",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_message_of_the_database_is_explained(message):
    assert MESSAGES[message] in explain_database(message)


def test_fault_of_a_statement_is_not_explained_away():
    assert explain_database('syntax error at or near "FROM"') is None


def test_secret_is_never_repeated():
    text = explain_settings({"SECRET_KEY": ["Must be a random text."], "DATABASE_URL": ["Not a valid database URL."]})

    assert "replace-me" not in text
