"""The database under the tests: `pytest --database sqlite` (the default) or `postgresql`, and `--encrypted` or not.

A pytest plugin, loaded by `-p` in pyproject.toml: the environment has to be right before Django's settings are read.
"""

import base64
import gc
import os
import tempfile
import zlib
from contextlib import ExitStack

import pytest

from benchmarks.testbed.postgresql import ENVIRONMENT, postgresql_server

# Environment variables that would change the responses of the API.
UNWANTED = [
    *("ACCOUNT", "BEHIND_TLS_PROXY", "CONNECTION_POOLER", "IDLE_TRANSACTION_TIMEOUT", "LOCK_TIMEOUT", "LOG_FORMAT"),
    *(
        "KEY_ENCRYPTION_KEYS",
        "LOG_LEVEL",
        "METRICS_TOKEN",
        "PREPARED_STATEMENTS",
        "PROMETHEUS_MULTIPROC_DIR",
        "STATEMENT_TIMEOUT",
        "THREADS",
    ),
]


def pytest_addoption(parser):
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="database under the tests")
    parser.addoption("--encrypted", action="store_true", help="encrypt the secrets in the database")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    """Set up the database and the environment before pytest-django reads the settings in the same hook."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # inherited everything
    os.environ.update(ENVIRONMENT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a hundred processes would each compile the project again
    for name in UNWANTED:
        os.environ.pop(name, None)
    if early_config.known_args_namespace.encrypted:
        os.environ["KEY_ENCRYPTION_KEYS"] = f"tests:{base64.b64encode(os.urandom(32)).decode()}"
    resources = ExitStack()
    early_config.add_cleanup(resources.close)
    if early_config.known_args_namespace.database == "sqlite":
        # A file: threads cannot share a database in memory. Each xdist worker appends its name to the file's.
        folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="sqlite-"))
        os.environ["DATABASE_URL"] = "sqlite:///unused.sqlite3"
        os.environ["TEST_DATABASE_NAME"] = os.path.join(folder, "test.sqlite3")
    elif not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        os.environ["DATABASE_URL"] = resources.enter_context(postgresql_server())


def pytest_ignore_collect(collection_path, config):
    """Do not import the conformance tests on SQLite: they run on PostgreSQL only, and take long to generate."""
    if collection_path.name == "test_schema_conformance.py" and config.getoption("database") == "sqlite":
        return True
    return None


# To save time, CI=true runs each test on one database: one in SHARES modules on PostgreSQL, the others on SQLite, which
# is faster. Tests that are marked for a database run on that one.
SHARES = 3
SHARE_OF_POSTGRESQL = 2
# CI=true runs one in so many tests of these modules, which take longest.
SAMPLED = {
    "test_recordings.py": 4,
    "test_schema_conformance.py": 4,
    "test_console_addresses.py": 2,
    "test_console_errors.py": 2,
    "test_console_plans.py": 2,
    "test_no_secrets_in_logs.py": 2,
    "test_tenancy.py": 2,
}


def is_left_out(item, database):
    """Whether CI=true skips a test on this database."""
    if os.environ.get("CI") != "true" or item.path.parent.name == "browser":
        return False
    if zlib.crc32(item.name.encode()) % SAMPLED.get(item.path.name, 1):
        return True
    if any(item.get_closest_marker(name) for name in ("postgresql", "sqlite", "without_database")):
        return False
    is_of_postgresql = zlib.crc32(item.path.name.encode()) % SHARES == SHARE_OF_POSTGRESQL
    return is_of_postgresql != (database == "postgresql")


def pytest_collection_modifyitems(config, items):
    """Deselect the tests that are marked for the other database, so that no test is reported as skipped."""
    database = config.getoption("database")
    others = {"sqlite": ["postgresql"], "postgresql": ["sqlite", "without_database"]}[database]
    left_out = {
        item for item in items if any(item.get_closest_marker(other) for other in others) or is_left_out(item, database)
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish():
    """Collect garbage seldom, and never among the modules and collected tests: that took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
