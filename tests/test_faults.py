"""Short runs of the programs that stress a real server. The notes of a release have the reports of long runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(program, *arguments):
    """A program of `benchmarks`; it ends with 0 when all is as it should be."""
    command = [sys.executable, "-m", f"benchmarks.{program}", *arguments]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.fixture
def database(request):
    return request.config.getoption("database")


@pytest.mark.postgresql  # the subject is the server of the requests
def test_stopping_a_busy_server_fails_no_request_that_it_has_begun(database):
    run("graceful", "--rounds", "2", "--clients", "8", "--database", database)


@pytest.mark.postgresql
def test_reloading_a_busy_server_fails_no_request_that_it_has_begun(database):
    run("graceful", "--reload", "--rounds", "1", "--clients", "4", "--database", database)


def test_killing_workers_loses_no_key(database):
    run("faults", "--keys", "300", "--clients", "8", "--workers", "2", "--seconds", "5", "--database", database)


@pytest.mark.postgresql
def test_killing_the_database_loses_no_key():
    run("faults", "--kill", "database", "--keys", "1500", "--clients", "8", "--every", "1", "--seconds", "5")


@pytest.mark.postgresql
def test_a_replica_that_takes_over_has_all_that_was_answered():
    run("failover", "--rounds", "1", "--keys", "600", "--clients", "8", "--workers", "2")


@pytest.mark.postgresql
@pytest.mark.parametrize("fault", ["database", "failover"])
def test_no_request_fails_once_the_database_is_back(fault):
    run("restarts", "--fault", fault, "--rounds", "2")
