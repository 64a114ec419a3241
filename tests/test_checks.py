"""Checks warn of settings that would lose keys, before the server takes a request."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import time_machine
from django.core.checks import run_checks
from django.db import connection

from keygen_site import checks

ROOT = Path(__file__).parent.parent
PRODUCTION = {
    "SECRET_KEY": "gk3Zq0vN8sXw1yUe5rTb7hLd2mCf9pAj4iOo6kSn-of-production",
    "ALLOWED_HOSTS": "keys.example.com",
    "DATABASE_URL": "postgres://keygen@db.example.com/keygen",
    "BEHIND_TLS_PROXY": "true",
    "EMAIL_URL": "submission://user:password@mail.example.com:587",
    "METRICS_TOKEN": "a-token-for-the-metrics",
    "LOG_FORMAT": "json",
}


def check(*arguments, **environment):
    """Run `manage.py check` in its own process. Returns whether it passed, and its output."""
    outcome = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING", *arguments],
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.returncode == 0, outcome.stdout + outcome.stderr


def ids(found):
    return [problem.id for problem in found]


@pytest.mark.without_database
def test_nothing_is_said_of_a_server_set_up_for_production(tmp_path):
    content, said = check(**PRODUCTION, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "metrics"))

    assert (content, "no issues" in said) == (True, True), said


@pytest.mark.without_database
def test_guide_to_moving_names_every_setting_that_must_be_changed(tmp_path):
    """The unit of the guide does not start with the settings of `.env.example`."""
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "moving.md").read_text(), re.MULTILINE)
    values = PRODUCTION | {"REQUIRE_SECOND_FACTOR": "superusers"}
    changed = {name: values[name] for name in named if name in values}
    unit = {"LOG_FORMAT": "json", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    content, said = check(**example | changed | unit)

    assert content, said


@pytest.mark.without_database
@pytest.mark.parametrize(
    ("environment", "id"),
    [
        ({"SECRET_KEY": "but-32-characters-are-not-enough"}, "security.W009"),
        ({"DATABASE_URL": "sqlite:///db.sqlite3"}, "keygen.W001"),
        ({"METRICS_TOKEN": "a-token-for-the-metrics", "PROMETHEUS_MULTIPROC_DIR": ""}, "keygen.W002"),
        ({"BEHIND_TLS_PROXY": "false"}, "security.W010"),
        ({"BEHIND_TLS_PROXY": "false"}, "keygen.W004"),
        ({"METRICS_TOKEN": "short"}, "keygen.W005"),
        ({"DEBUG": "true"}, "security.W018"),
    ],
)
def test_check_reports_settings_that_are_not_for_production(environment, id, tmp_path):
    content, said = check(**PRODUCTION | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} | environment)

    assert not content
    assert id in said


@pytest.mark.sqlite
def test_sqlite_is_good_enough_for_a_local_server(settings):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

    assert checks.check_database_for_many(None) == []


@pytest.mark.parametrize(("moment", "found"), [("2019-06-01", ["keygen.E002"]), ("2026-06-01", [])])
def test_check_says_that_the_clock_is_years_slow(moment, found):
    with time_machine.travel(moment):
        assert ids(checks.check_clock(None)) == found


def test_the_database_is_asked_only_when_it_is_there_to_be_asked(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert [problem for problem in run_checks(tags=["database"]) if problem.id.startswith("keygen")] == []


@pytest.mark.postgresql
@pytest.mark.django_db
class TestPostgreSQL:
    """The tests' own server waits for no disk, so each test sets the parameters of its session."""

    def said(self, **parameters):
        values = {"synchronous_commit": "on", "lock_timeout": "2s"} | parameters
        with connection.cursor() as cursor:
            for name, value in values.items():
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
        found = checks.check_database(None, databases=["default"])
        # These two belong to the server as a whole.
        return [p for p in found if not p.msg.startswith(("PostgreSQL runs with fsync", "PostgreSQL runs with full"))]

    def test_check_of_postgresql_is_good_as_it_comes(self):
        assert self.said() == []

    def test_check_of_postgresql_must_wait_for_the_disk(self):
        (problem,) = self.said(synchronous_commit="off")

        assert (problem.id, problem.is_serious()) == ("keygen.E010", True)
        assert "synchronous_commit=off" in problem.msg

    @pytest.mark.parametrize("value", ["local", "remote_write", "remote_apply"])
    def test_check_of_postgresql_may_wait_for_more_or_less_of_a_replica(self, value):
        assert self.said(synchronous_commit=value) == []

    def test_check_of_postgresql_must_not_wait_for_locks_for_ever(self):
        (problem,) = self.said(lock_timeout="0")

        assert problem.id == "keygen.E011"
        with connection.cursor() as cursor:  # the hint can be pasted
            cursor.execute(problem.hint)
            cursor.execute("SELECT setconfig FROM pg_db_role_setting ORDER BY setdatabase DESC")
            assert "lock_timeout=2000" in cursor.fetchone()[0]

    @pytest.mark.parametrize(
        ("seconds", "found"),
        [(0, []), (1, []), (10, ["keygen.W012"]), (-10, ["keygen.W012"]), (3600, ["keygen.E012"])],
    )
    def test_check_of_postgresql_has_the_time_that_we_have(self, monkeypatch, seconds, found):
        right = time.time
        monkeypatch.setattr("keygen_site.checks.time.time", lambda: right() + seconds)

        assert ids(self.said()) == found


@pytest.mark.postgresql
def test_migrating_stops_at_a_database_that_waits_for_no_disk():
    outcome = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--plan"],
        env=os.environ | {"PGOPTIONS": "-c synchronous_commit=off"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode != 0
    assert "keygen.E010" in outcome.stderr
