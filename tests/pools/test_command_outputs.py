"""Commands whose output fails or is interrupted: keys that were popped are named, and nothing is lost."""

import json
import os
import shlex
from contextlib import contextmanager

import pytest

from licensing.models import License
from pools.services.exports import export_keys
from tests.cast import add_keys, make_policy, numbered
from tests.pools.test_key_commands import UMLAUT, everything, import_of, issue, pop
from tests.processes import manage_here

pytestmark = pytest.mark.without_database  # the subject is files and processes


def test_interrupted_output_names_the_popped_keys(pooled_policy, run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    (key,) = add_keys(pooled_policy, "KEY-0001")
    monkeypatch.setattr("pools.management.pool_command.PoolCommand.write_output", interrupt)

    code, _, error = run("pop_key", "--policy", "Pooled")

    assert code == 130
    assert f"return_key {key.pk} --policy {pooled_policy.pk} --undelivered" in error


def stop(*arguments, **options):
    raise SystemExit(143)  # as SIGTERM ends a command


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [stop, interrupt])
class TestInterruptedCommand:
    def test_interruption_before_the_commit_changes_nothing(self, pooled_policy, run, monkeypatch, end):
        add_keys(pooled_policy, "KEY-0001")
        before = everything()
        monkeypatch.setattr("pools.management.printing_command.PrintingCommand.format_keys", end)

        code, out, error = run("pop_key", "--policy", "Pooled")

        assert (code, out, error) == (130, "", "Interrupted: nothing was changed.")
        assert everything() == before

    def test_interruption_after_the_commit_names_the_key(self, pooled_policy, run, monkeypatch, end):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        monkeypatch.setattr("pools.popping._record_pop", end)  # runs after the commit, before the output

        code, out, error = run("pop_key", "--policy", "Pooled")

        assert (code, out) == (130, "")
        assert f"return_key {key.pk} --policy {pooled_policy.pk} --undelivered" in error


@pytest.mark.django_db(transaction=True)
def test_lost_key_that_was_exported_before_is_read_by_an_export(pooled_policy, audit):
    """It cannot be returned, because it may have reached a reader of the export."""
    (key,) = add_keys(pooled_policy, "KEY-0001")
    list(export_keys(policy=pooled_policy, audit=audit))

    with full_disk() as stdout:
        outcome = manage_here("pop_key", "--policy", pooled_policy.pk, stdout=stdout)

    assert outcome.code == 5
    assert str(key.pk) in outcome.err
    assert "return_key" not in outcome.err
    (offered,) = [line.partition("manage.py ")[2] for line in outcome.err.splitlines() if "manage.py" in line]
    assert "KEY-0001" in manage_here(*shlex.split(offered)).out


# Outputs that fail -------------------------------------------------------------------------------------------------


@contextmanager
def closed_pipe():
    """A pipe whose reader is gone, as of `| head -c0`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as stdout:
        yield stdout


@contextmanager
def full_disk():
    with open("/dev/full", "wb", buffering=0) as stdout:
        yield stdout


@contextmanager
def read_only():
    """As of `1< /dev/null`."""
    with open("/dev/null", "rb") as stdout:
        yield stdout


OUTPUTS = [closed_pipe, full_disk, read_only]


def prepare(command, policy, audit, *texts):
    """Fill the pool with keys that the command can hand out, and return its whole arguments."""
    if command == "pop_key":
        add_keys(policy, *texts)
        return [command, "--policy", policy.pk, "--count", len(texts)]
    (key,) = add_keys(policy, "FIRST-0001")
    pop(policy, audit)
    add_keys(policy, *texts[:1])
    return [command, key.pk, "--policy", policy.pk]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", ["pop_key", "replace_key"])
class TestHandingOut:
    """Keys that were popped are printed, or named on standard error."""

    @pytest.mark.parametrize("encoding", ["ascii", "ascii:replace", "iso8859-1:ignore"])
    def test_key_that_the_terminal_cannot_show_stays_in_the_pool(self, pooled_policy, audit, command, encoding):
        arguments = prepare(command, pooled_policy, audit, UMLAUT + "\N{EURO SIGN}")
        before = everything()

        outcome = manage_here(*arguments, encoding=encoding)

        assert (outcome.code, outcome.out) == (1, "")
        assert "so nothing was changed. Use --json, or set PYTHONIOENCODING=utf-8." in outcome.err
        assert "Traceback" not in outcome.err
        assert everything() == before
        printed = manage_here(*arguments, "--json", encoding=encoding).out
        assert json.loads(printed)["keys"][0]["key"] == UMLAUT + "\N{EURO SIGN}"

    def test_nothing_is_popped_for_a_closed_standard_output(self, pooled_policy, audit, command):
        arguments = prepare(command, pooled_policy, audit, *numbered(2))
        before = everything()

        outcome = manage_here(*arguments, stdout=None)

        assert outcome == (1, "", "Error: Standard output is closed, so nothing was changed.\n")
        assert everything() == before

    @pytest.mark.parametrize("output", OUTPUTS)
    def test_keys_that_were_not_printed_can_be_returned(self, pooled_policy, audit, command, output):
        arguments = prepare(command, pooled_policy, audit, *numbered(2))
        waiting = list(pooled_policy.pool.available().values_list("pk", flat=True))

        with output() as stdout:
            outcome = manage_here(*arguments, stdout=stdout)

        assert outcome.code == 5
        assert "Traceback" not in outcome.err
        assert not pooled_policy.pool.available().exists()
        offered = [line for line in outcome.err.splitlines() if line.startswith("  manage.py ")]
        assert len(offered) == len(waiting)
        for line in offered:
            assert manage_here(*shlex.split(line)[1:]).code == 0
        assert set(pooled_policy.pool.available().values_list("pk", flat=True)) == set(waiting)


@pytest.mark.django_db(transaction=True)
def test_replaced_key_of_a_license_is_read_at_the_license(pooled_policy, audit):
    """It cannot be returned, because the license has it."""
    key, replacement = add_keys(pooled_policy, *numbered(2))
    issue(pooled_policy, audit)

    with full_disk() as stdout:
        outcome = manage_here("replace_key", key.pk, "--policy", pooled_policy.pk, stdout=stdout)

    assert outcome.code == 5
    license = License.objects.get()
    assert license.key == "KEY-0002"
    assert f"The license {license.pk} has the key {replacement.pk}: read it there." in outcome.err
    assert "return_key" not in outcome.err


@pytest.mark.django_db(transaction=True)
class TestReports:
    """The report of a change that is done."""

    @pytest.fixture(
        params=["return_key", "withdraw_key", "undo_import", "move_import", "withdraw_import", "import_keys"]
    )
    def arguments(self, request, acme, pooled_policy, audit):
        pooled_policy.name = "Schlüssel"
        pooled_policy.save()
        other = make_policy(acme.product, "Übrige", use_pool=True)
        key_import = import_of(pooled_policy, *numbered(3))
        (key,) = pop(pooled_policy, audit)
        arguments = {
            "return_key": [key.pk, "--undelivered"],
            "withdraw_key": [key.pk],
            "undo_import": [key_import.pk],
            "move_import": [key_import.pk, "--to", other.pk],
            "withdraw_import": [key_import.pk],
            "import_keys": ["-", "--skip-invalid"],
        }[request.param]
        return [request.param, *arguments, "--policy", pooled_policy.pk]

    STDIN = "KEY-0001\nKEY-0004\nKÜ-€\n".encode()

    def test_report_is_escaped_for_a_terminal_that_cannot_show_it(self, arguments):
        before = everything()

        outcome = manage_here(*arguments, stdin=self.STDIN, encoding="ascii")

        assert outcome.code == (3 if arguments[0] == "import_keys" else 0)
        assert outcome.out
        assert outcome.err == ""
        assert everything() != before

    @pytest.mark.parametrize("output", [closed_pipe, None])
    def test_report_is_in_the_error_if_standard_output_fails(self, arguments, output):
        before = everything()

        if output is None:
            outcome = manage_here(*arguments, stdin=self.STDIN, stdout=None)
        else:
            with output() as stdout:
                outcome = manage_here(*arguments, stdin=self.STDIN, stdout=stdout)

        assert outcome.code == 5
        first, report, *_ = outcome.err.splitlines()
        assert first.startswith("Error: The command is done, but its output could not be written (")
        assert report
        assert "Traceback" not in outcome.err
        assert everything() != before


@pytest.mark.django_db(transaction=True)
def test_terminal_is_told_that_the_key_is_read_from_it(pooled_policy, audit):
    add_keys(pooled_policy, "KEY-0001")
    pop(pooled_policy, audit)
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"KEY-0001\n\x04")

    with open(terminal, "rb", buffering=0) as stdin:
        outcome = manage_here("return_key", "-", "--policy", "Pooled", "--undelivered", stdin=stdin)

    os.close(keyboard)
    assert outcome.code == 0
    assert outcome.err == "Reading the key from standard input. Ctrl-D ends the input.\n"


# Files of keys -----------------------------------------------------------------------------------------------------
