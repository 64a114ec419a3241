"""The commands that write keys and rejected lines: no half file is left, and none is replaced by mistake."""

import io
import os
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from threading import Thread

import pytest
from django.db import transaction

from pools.models import Key
from tests.cast import add_keys, numbered
from tests.pools.test_command_outputs import OUTPUTS, closed_pipe
from tests.pools.test_key_commands import UMLAUT, everything
from tests.processes import invocation, manage_here

pytestmark = pytest.mark.without_database  # the subject is files and processes


@pytest.mark.django_db(transaction=True)
class TestExportToStandardOutput:
    def test_export_is_utf8_in_any_locale(self, pooled_policy):
        add_keys(pooled_policy, UMLAUT)

        outcome = manage_here("export_keys", "--policy", "Pooled", "--format", "text", encoding="ascii")

        assert outcome == (0, f"{UMLAUT}\n", "")

    @pytest.mark.parametrize("output", [output for output in OUTPUTS if output is not closed_pipe])
    def test_export_that_breaks_off_says_so(self, pooled_policy, output):
        add_keys(pooled_policy, *numbered(3))

        with output() as stdout:
            outcome = manage_here("export_keys", "--policy", "Pooled", stdout=stdout)

        assert outcome.code == 5
        assert outcome.err.startswith("Error: The export broke off: ")
        assert "The keys so far count as disclosed. Export them again." in outcome.err
        assert len(outcome.err.splitlines()) == 1

    def test_export_ends_quietly_when_its_reader_stops(self, pooled_policy):
        add_keys(pooled_policy, *numbered(3))

        with closed_pipe() as stdout:
            outcome = manage_here("export_keys", "--policy", "Pooled", stdout=stdout)

        assert (outcome.code, outcome.err) == (0, "")

    def test_nothing_is_exported_to_a_closed_standard_output(self, pooled_policy):
        add_keys(pooled_policy, "KEY-0001")
        before = everything()

        outcome = manage_here("export_keys", "--policy", "Pooled", stdout=None)

        assert outcome == (1, "", "Error: Standard output is closed, so nothing was exported.\n")
        assert everything() == before


def export_to(file):
    return ["export_keys", "--policy", "Pooled", "--format", "text", "--output", file]


def import_rejecting_to(file):
    return ["import_keys", "-", "--policy", "Pooled", "--skip-invalid", "--rejected", file]


@pytest.mark.parametrize("arguments", [export_to, import_rejecting_to])
class TestOutputFile:
    """`export_keys --output` and `import_keys --rejected`."""

    STDIN = b"KEY-0002\nshort\n"

    @pytest.fixture(autouse=True)
    def key(self, acme):
        add_keys(acme.policy, "KEY-0001")

    def test_file_is_private(self, run, tmp_path, arguments):
        file = tmp_path / "keys.txt"
        before = os.umask(0)
        try:
            run(*arguments(file), stdin=self.STDIN)
        finally:
            os.umask(before)

        assert file.read_text().count("\n") == (1 if "export_keys" in arguments(file) else 2)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["keys.txt"]

    def test_existing_file_is_replaced_by_force_only(self, run, tmp_path, arguments):
        file = tmp_path / "keys.txt"
        file.write_text("of yesterday")
        file.chmod(0o644)
        (tmp_path / "link").symlink_to("keys.txt")
        before = everything()

        for path in file, tmp_path / "link":
            code, _, error = run(*arguments(path), stdin=self.STDIN)
            assert (code, file.read_text()) == (2, "of yesterday")
            assert error.endswith(f"{path} exists. Choose another file, or replace it with --force.")
        assert everything() == before

        run(*arguments(tmp_path / "link"), "--force", stdin=self.STDIN)

        assert "of yesterday" not in file.read_text()
        assert (tmp_path / "link").is_symlink()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(os.listdir(tmp_path)) == {"keys.txt", "link"}

    def test_file_that_appears_meanwhile_is_not_replaced(self, run, tmp_path, monkeypatch, arguments):
        file = tmp_path / "keys.txt"
        monkeypatch.setattr("os.fsync", lambda descriptor: file.write_text("of another process"))

        code, _, error = run(*arguments(file), stdin=self.STDIN)

        assert (code, file.read_text()) == (1, "of another process")
        assert "exists by now" in error
        assert os.listdir(tmp_path) == ["keys.txt"]

    @pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(143)])
    @pytest.mark.parametrize("old", [None, "of yesterday"])
    def test_failure_leaves_no_half_file(self, run, tmp_path, monkeypatch, arguments, failure, old):
        def fail(descriptor):
            raise failure

        file = tmp_path / "keys.txt"
        if old:
            file.write_text(old)
        monkeypatch.setattr("os.fsync", fail)

        outcome = run(*arguments(file), "--force", stdin=self.STDIN)

        assert outcome.code == {OSError: 5, KeyboardInterrupt: 130, SystemExit: 143}[type(failure)]
        assert os.listdir(tmp_path) == (["keys.txt"] if old else [])
        assert not old or file.read_text() == old
        if arguments is import_rejecting_to:
            assert "1 key was added" in outcome.out  # all that failed is the file

    @pytest.mark.parametrize("place", ["no/such/folder", "folder", "file/below", "x" * 300])
    def test_file_that_cannot_be_made_is_refused_before_anything_is_done(self, run, tmp_path, arguments, place):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        before = everything()

        code, _, error = run(*arguments(tmp_path / place), "--force", stdin=self.STDIN)

        assert code == 1
        assert error.startswith(str(tmp_path / place))
        assert everything() == before
        assert set(os.listdir(tmp_path)) == {"folder", "file"}

    def test_full_device_ends_with_5(self, run, arguments):
        code, out, error = run(*arguments("/dev/full"), stdin=self.STDIN)

        assert code == 5
        assert error.startswith("/dev/full: No space left on device")
        assert ("count as disclosed" in error) == ("export_keys" in arguments("/dev/full"))
        assert not Key.objects.filter(key="KEY-0002").exists()
        assert out == ""

    def test_named_pipe_is_written_directly(self, run, tmp_path, arguments):
        pipe, read = tmp_path / "pipe", []
        os.mkfifo(pipe)
        reader = Thread(target=lambda: read.append(pipe.read_text()))
        reader.start()

        run(*arguments(pipe), stdin=self.STDIN)

        reader.join(timeout=60)
        assert read[0].startswith(("KEY-0001\n", "file,line,code"))
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.listdir(tmp_path) == ["pipe"]

    def test_reader_of_a_named_pipe_may_leave(self, run, tmp_path, arguments):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = Thread(target=lambda: pipe.open("rb").close())
        reader.start()

        code, _, _ = run(*arguments(pipe), stdin=self.STDIN)

        reader.join(timeout=60)
        assert code in (0, 3, 5)  # the reader may leave before or after the last byte is written
        assert os.listdir(tmp_path) == ["pipe"]


def test_rejections_are_written_before_the_keys_are_added(acme, run, monkeypatch):
    """A disk that becomes full with the last rejection stops the import."""

    class FullDisk(io.StringIO):
        def flush(self):
            if "short" in self.getvalue():
                raise OSError(28, "No space left on device")

    @contextmanager
    def open_output(path, *, force):
        yield FullDisk()

    monkeypatch.setattr("pools.management.commands.import_keys.open_output", open_output)

    with pytest.raises(OSError, match="No space left"):
        run(*import_rejecting_to("rejected.csv"), stdin=b"KEY-0002\nshort\n")
    assert not Key.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("number", "code", "old"), [(signal.SIGINT, 130, None), (signal.SIGTERM, 143, "of yesterday")])
def test_signal_in_the_middle_of_an_export_leaves_no_half_file(pooled_policy, tmp_path, number, code, old):
    add_keys(pooled_policy, *numbered(3))
    file = tmp_path / "keys.txt"
    if old:
        file.write_text(old)
    with transaction.atomic():  # the export waits for it: for this key or, on SQLite, for any change
        Key.objects.select_for_update().get(key="KEY-0002")
        Key.objects.filter(key="KEY-0002").update(key="KEY-0002")
        process = subprocess.Popen(
            **invocation(*export_to(file), "--force"),
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # may be ignored by the tests' shell
        )
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".keys-*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.3)  # until the signal handlers are set and the export waits
        process.send_signal(number)
    _, error = process.communicate(timeout=60)

    assert process.returncode == code
    assert b"Traceback" not in error
    assert os.listdir(tmp_path) == (["keys.txt"] if old else [])
    assert not old or file.read_text() == old
