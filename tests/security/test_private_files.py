"""Files with keys or secrets: only the user who runs the server may read them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.testbed.postgresql import ENVIRONMENT
from keygen_site import security_checks

ROOT = Path(__file__).parent.parent.parent
OPEN_UMASK = 0o000
# A program that opens the database as any server does, without `manage.py`.
PROGRAM = """
import django
django.setup()
from django.db import connection
from django.core.management import call_command
call_command("migrate", "accounts", "0001", verbosity=0)
import os
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE files (name text)")
    print(sorted(os.listdir(os.path.dirname(connection.settings_dict["NAME"]))))
    print([oct(os.stat(connection.settings_dict["NAME"] + end).st_mode & 0o777) for end in ("", "-wal", "-shm")])
"""


def run(folder, *arguments):
    environment = {**os.environ, **ENVIRONMENT, "DATABASE_URL": f"sqlite:///{folder}/keys.sqlite3"}
    environment["DJANGO_SETTINGS_MODULE"] = "keygen_site.settings"
    outcome = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        umask=OPEN_UMASK,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.without_database
class TestNewFiles:
    def test_database_is_private_however_it_is_opened(self, tmp_path):
        said = run(tmp_path, "-c", PROGRAM)

        assert "['0o600', '0o600', '0o600']" in said

    def test_files_of_commands_are_private(self, tmp_path):
        run(tmp_path, "manage.py", "migrate", "--verbosity", "0")

        assert {path.name: oct(mode_of(path)) for path in tmp_path.iterdir()} == {"keys.sqlite3": "0o600"}

    def test_static_files_are_for_everyone(self, tmp_path):
        program = (
            "import os; os.umask(0o077); from django.conf import settings; import django; django.setup(); "
            f"settings.STATIC_ROOT = {str(tmp_path / 'static')!r}; "
            "from django.core.management import call_command; "
            "call_command('collectstatic', interactive=False, verbosity=0)"
        )
        run(tmp_path, "-c", program)

        collected = [path for path in (tmp_path / "static").rglob("*") if path.parent != tmp_path]
        assert len(collected) > 50
        assert {oct(mode_of(path)) for path in collected if path.is_dir()} == {"0o755"}
        assert {oct(mode_of(path)) for path in collected if path.is_file()} == {"0o644"}


class TestExistingFiles:
    @pytest.fixture
    def files(self, tmp_path, monkeypatch):
        found = [tmp_path / name for name in (".env", "db.sqlite3", "db.sqlite3-wal")]
        for file in found:
            file.touch(0o600)
        monkeypatch.setattr(security_checks, "private_files", lambda: [*found, tmp_path / "missing"])
        return found

    def test_private_files_are_good(self, files):
        assert security_checks.check_private_files(None) == []

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666])
    def test_files_that_others_may_read_are_named_with_the_remedy(self, files, mode):
        for file in files:
            file.chmod(mode)

        found = security_checks.check_private_files(None)

        assert [problem.id for problem in found] == ["keygen.W003"] * len(files)
        for problem in found:
            subprocess.run(problem.hint, shell=True, check=True)
        assert security_checks.check_private_files(None) == []

    def test_the_files_are_those_of_the_database_and_of_the_settings(self, db, monkeypatch, settings):
        monkeypatch.setenv("ENV_FILE", "/etc/keygen.env")

        found = security_checks.private_files()

        assert found[0] == Path("/etc/keygen.env")
        kind = settings.DATABASES["default"]["ENGINE"]
        assert len(found) == (5 if "sqlite" in kind else 1)
