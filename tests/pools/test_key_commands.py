"""The commands that change keys and imports, and those that hand out keys or write them: nothing is lost on the way."""

import io
import json
import os
import shlex
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from threading import Thread

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.exports import export_keys
from pools.services.imports import import_keys
from pools.services.keys import withdraw_key
from tests.cast import add_keys, make_policy, numbered
from tests.pools.test_import import ORIGIN, lines
from tests.processes import Outcome, invocation, manage

UMLAUT = "SCHLÜSSEL-0001"
ACME = ("--policy", "Pooled", "--account", "acme")


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


def everything():
    """All that the commands change."""
    return [
        list(model.objects.order_by("pk").values(*(field.attname for field in model._meta.concrete_fields)))
        for model in (Key, KeyEvent, KeyImport, License)
    ]


def pop(policy, audit, count=1):
    return [policy.pool.pop(audit) for _ in range(count)]


def import_of(policy, *texts, name="ACME PO 4711"):
    return import_keys(policy=policy, files=[lines(*texts)], audit=ORIGIN, name=name).key_import


@pytest.mark.parametrize("command", ["return_key --undelivered", "withdraw_key", "replace_key"])
class TestNaming:
    """How a command names a key."""

    @pytest.fixture(autouse=True)
    def keys(self, acme, rival, other_policy, audit):
        add_keys(acme.policy, UMLAUT, *numbered(2))
        add_keys(other_policy, "OTHER-0001")
        add_keys(rival.policy, "RIVAL-0001")
        for policy in acme.policy, other_policy, rival.policy:
            pop(policy, audit)

    @pytest.mark.parametrize("line", [UMLAUT, f"{UMLAUT}\n", f"{UMLAUT}\r\n"])
    def test_key_is_read_from_standard_input_in_any_locale(self, pooled_policy, run, command, line):
        assert run(*command.split(), "-", *ACME, stdin=line.encode()).code == 0
        assert Key.objects.get(key=UMLAUT).state == ("available" if "return" in command else "withdrawn")

    @pytest.mark.parametrize("spell", [str, lambda uuid: str(uuid).upper().replace("-", "")])
    def test_key_is_named_by_its_id(self, pooled_policy, run, command, spell):
        assert run(*command.split(), spell(Key.objects.get(key=UMLAUT).pk), *ACME).code == 0
        assert Key.objects.get(key=UMLAUT).state == ("available" if "return" in command else "withdrawn")

    @pytest.mark.parametrize("named", ["OTHER-0001", "RIVAL-0001", "no id", "KEY-0001", "00000000-" + "0" * 27])
    def test_id_of_no_key_of_the_pool_is_refused(self, run, command, named):
        key = Key.objects.filter(key=named).exclude(key="KEY-0001").first()
        before = everything()

        code, out, error = run(*command.split(), key.pk if key else named, *ACME)

        assert (code, out) == (2, "")
        assert error.startswith("The pool of 'Pooled' has no key with the id ")
        assert "write - and pass the key on standard input" in error
        assert everything() == before

    @pytest.mark.parametrize(
        ("stdin", "said"),
        [
            (b"", "must have one line with the key"),
            (b"\n", "must have one line with the key"),
            (f"{UMLAUT}\nKEY-0001\n".encode(), "must have one line with the key"),
            (UMLAUT.encode("latin-1"), "must be UTF-8"),
            (b"OTHER-0001", "The pool of 'Pooled' has no such key."),
            (b"RIVAL-0001", "The pool of 'Pooled' has no such key."),
            (b"no\0such", "The pool of 'Pooled' has no such key."),
        ],
    )
    def test_standard_input_without_a_key_of_the_pool_is_refused(self, run, command, stdin, said):
        before = everything()

        code, out, error = run(*command.split(), "-", *ACME, stdin=stdin)

        assert (code, out) == (2, "")
        assert said in error
        assert everything() == before

    def test_line_ends_only_at_a_line_feed(self, pooled_policy, run, audit, command):
        text = "KEY\N{LINE SEPARATOR}0003"  # as a key may have had before such characters were refused
        Key.objects.create(account=pooled_policy.account, policy=pooled_policy, key=text)
        pop(pooled_policy, audit, 3)

        # There is no other key, so that a replacement finds an empty pool.
        assert run(*command.split(), "-", *ACME, stdin=text.encode()).code in (0, 4)

    @pytest.mark.parametrize("option", ["--reference", "--reason"])
    def test_labels_are_checked_before_anything_is_done(self, run, command, option):
        if option == "--reason" and "return" in command:
            option = "--reference"
        before = everything()

        for text in "x" * 256, "a\nb", "\udcff":
            code, _, error = run(*command.split(), "-", *ACME, option, text, stdin=UMLAUT.encode())
            assert (code, error) == (2, f"{option} must have 255 characters at most, without control characters.")
        assert everything() == before


def issue(policy, audit):
    issue_license(policy=policy, audit=audit)


def pop_and_export(policy, audit):
    pop(policy, audit)
    list(export_keys(policy=policy, audit=audit, state="popped"))


def pop_and_withdraw(policy, audit):
    pop(policy, audit)
    withdraw_key(policy=policy, text="KEY-0001", audit=audit)


def leave(policy, audit):
    """The key stays available."""


class TestReturnKey:
    def test_key_is_available_again(self, pooled_policy, run, audit):
        add_keys(pooled_policy, *numbered(2))
        (key,) = pop(pooled_policy, audit)

        outcome = run("return_key", key.pk, "--policy", "Pooled", "--undelivered", "--reference", "Order 4711")

        assert outcome == (0, "The key KE…01 is available again.\n", "")
        assert pooled_policy.pool.pop(audit).key == "KEY-0001"
        event = KeyEvent.objects.get(event="returned")
        assert (event.operator, event.reference, event.key_id) == ("manage.py return_key", "Order 4711", key.pk)

    @pytest.mark.parametrize(
        ("arrange", "said"),
        [
            (leave, "The key is still waiting in the pool."),
            (pop_and_withdraw, "The key has been withdrawn."),
            (issue, "The key is held by a license."),
            (pop_and_export, "The key was shown to a person: it stays popped, so pop another key instead."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, said):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("return_key", key.pk, "--policy", "Pooled", "--undelivered") == (1, "", said)
        assert everything() == before

    def test_key_of_a_deleted_license_is_refused(self, pooled_policy, run, audit):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        issue(pooled_policy, audit)
        License.objects.get().delete()

        code, _, error = run("return_key", key.pk, "--policy", "Pooled", "--undelivered")

        assert (code, error) == (1, "The key was issued with a license: it stays popped, so pop another key instead.")

    def test_return_is_confirmed(self, pooled_policy, run, audit):
        add_keys(pooled_policy, "KEY-0001")
        (key,) = pop(pooled_policy, audit)
        before = everything()

        outcome = run("return_key", key.pk, "--policy", "Pooled")

        assert outcome == (2, "", "Confirm with --undelivered that the key reached no one.")
        assert everything() == before


class TestWithdrawKey:
    @pytest.mark.parametrize("arrange", [leave, pop, issue, pop_and_export])
    def test_key_is_withdrawn_with_its_reason(self, pooled_policy, run, audit, arrange):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)

        outcome = run("withdraw_key", key.pk, "--policy", "Pooled", "--reason", "refunded", "--reference", "Order 4711")

        assert outcome == (0, "The key KE…01 is withdrawn.\n", "")
        assert Key.objects.get().state == "withdrawn"
        event = KeyEvent.objects.get(event="withdrawn")
        assert (event.operator, event.reference) == ("manage.py withdraw_key", "Order 4711")
        assert event.details == {"reason": "refunded"}
        assert not License.objects.filter(suspended=True).exists()

    def test_license_is_suspended(self, pooled_policy, run, audit):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        issue(pooled_policy, audit)

        assert run("withdraw_key", key.pk, "--policy", "Pooled", "--suspend-license").code == 0

        assert License.objects.get().suspended
        assert KeyEvent.objects.get(event="withdrawn").license_id == License.objects.get().pk

    @pytest.mark.parametrize(
        ("arrange", "options", "said"),
        [
            (pop_and_withdraw, [], "The key has been withdrawn."),
            (pop, ["--suspend-license"], "The key is not held by a license, so no license can be suspended."),
            (leave, ["--suspend-license"], "The key is not held by a license, so no license can be suspended."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, options, said):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("withdraw_key", key.pk, "--policy", "Pooled", *options) == (1, "", said)
        assert everything() == before


class TestReplaceKey:
    def test_next_key_is_popped_for_the_same_reference(self, pooled_policy, run, audit):
        add_keys(pooled_policy, *numbered(2))
        run("pop_key", "--policy", "Pooled", "--reference", "Order 4711")
        key, replacement = pooled_policy.pool.order_by("id")

        outcome = run("replace_key", key.pk, "--policy", "Pooled", "--reason", "defective")

        assert outcome == (0, "KEY-0002\n", "")
        assert [each.state for each in pooled_policy.pool.order_by("id")] == ["withdrawn", "popped"]
        event = KeyEvent.objects.get(event="replaced")
        assert (event.operator, event.reference) == ("manage.py replace_key", "Order 4711")
        assert event.details == {"reason": "defective", "replacement": str(replacement.pk)}
        assert KeyEvent.objects.filter(event="popped").first().reference == "Order 4711"

    def test_license_gets_the_new_key(self, pooled_policy, run, audit):
        key, replacement = add_keys(pooled_policy, *numbered(2))
        issue(pooled_policy, audit)

        printed = run("replace_key", key.pk, "--policy", "Pooled", "--json", "--reference", "Ticket 1").out

        assert json.loads(printed) == [{"id": str(replacement.pk), "key": "KEY-0002"}]
        assert License.objects.get().key == "KEY-0002"
        assert KeyEvent.objects.get(event="replaced").reference == "Ticket 1"

    @pytest.mark.parametrize("arrange", [pop, issue])
    def test_empty_pool_ends_with_4_and_changes_nothing(self, pooled_policy, run, audit, arrange):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("replace_key", key.pk, "--policy", "Pooled") == (4, "", "pool is empty")
        assert everything() == before

    @pytest.mark.parametrize(
        ("arrange", "said"),
        [
            (leave, "The key is still waiting in the pool."),
            (pop_and_withdraw, "The key has been withdrawn."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, said):
        key, _ = add_keys(pooled_policy, *numbered(2))
        arrange(pooled_policy, audit)
        before = everything()

        assert run("replace_key", key.pk, "--policy", "Pooled") == (1, "", said)
        assert everything() == before


class TestImportChanges:
    """`undo_import`, `move_import` and `withdraw_import`."""

    COMMANDS = ("undo_import", "withdraw_import", "move_import --to Other")

    def test_import_is_undone(self, pooled_policy, run, audit):
        import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run("undo_import", "ACME PO 4711", "--policy", "Pooled", "--reference", "Ticket 1")

        assert outcome.out == "2 keys were removed. Left: 1 popped, 0 withdrawn, 0 available and disclosed.\n"
        assert [key.key for key in Key.objects.all()] == ["KEY-0001"]
        event = KeyEvent.objects.get(event="removed")
        assert (event.operator, event.reference, event.details) == ("manage.py undo_import", "Ticket 1", {"count": 2})
        assert import_of(pooled_policy, "KEY-0002").added == 1

    def test_import_is_moved(self, pooled_policy, other_policy, run, audit):
        moved = import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run("move_import", moved.pk, "--policy", "Pooled", "--to", "Other", "--reference", "Ticket 1")

        assert outcome.out == (
            "2 keys were moved to the pool of 'Other'. Left: 1 popped, 0 withdrawn, 0 available and disclosed.\n"
        )
        assert [key.key for key in other_policy.pool.available_in_order()] == ["KEY-0002", "KEY-0003"]
        event = KeyEvent.objects.get(event="moved")
        assert (event.operator, event.reference) == ("manage.py move_import", "Ticket 1")
        assert event.details == {"count": 2, "destination": str(other_policy.pk)}

    def test_rest_of_an_import_is_withdrawn(self, pooled_policy, run, audit):
        withdrawn = import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run(
            "withdraw_import", withdrawn.pk, "--policy", "Pooled", "--reason", "leaked", "--reference", "Ticket 1"
        )

        assert outcome.out == "2 keys were withdrawn. Left: 1 popped, 2 withdrawn, 0 available and disclosed.\n"
        assert [key.state for key in pooled_policy.pool.order_by("id")] == ["popped", "withdrawn", "withdrawn"]
        for event in KeyEvent.objects.filter(event="withdrawn"):
            assert (event.operator, event.reference) == ("manage.py withdraw_import", "Ticket 1")
            assert event.details == {"reason": "leaked"}

    @pytest.mark.parametrize("command", COMMANDS)
    def test_command_can_be_repeated(self, pooled_policy, other_policy, run, command):
        import_of(pooled_policy, *numbered(3))
        arguments = [*command.split(), "ACME PO 4711", "--policy", "Pooled"]
        assert run(*arguments).out.startswith("3 keys were ")
        before = everything()

        code, out, _ = run(*arguments)

        assert code == 0
        assert out.startswith("0 keys were ")
        # A repeated move finds its import again, and a repetition leaves no other trace.
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    def test_unknown_import_is_refused(self, pooled_policy, other_policy, rival, run, command):
        import_of(pooled_policy, "KEY-0001", name="Ours")
        elsewhere = import_of(other_policy, "KEY-0002", name="Elsewhere")
        theirs = import_of(rival.policy, "KEY-0003", name="Theirs")
        before = everything()

        for named in elsewhere.name, elsewhere.pk, theirs.name, theirs.pk, "nothing":
            code, out, error = run(*command.split(), named, "--policy", "Pooled", "--account", "acme")
            assert (code, out) == (2, "")
            assert error == f"No import into the pool of 'Pooled' has the id or name {str(named)!r}."
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    def test_several_imports_of_a_name_are_listed(self, pooled_policy, other_policy, run, command):
        imports = [import_of(pooled_policy, text) for text in numbered(2)]
        before = everything()

        code, _, error = run(*command.split(), "ACME PO 4711", "--policy", "Pooled")

        assert code == 2
        first, *listed = error.splitlines()
        assert first == "Several imports have the name 'ACME PO 4711'. Choose one by its id:"
        assert [line.split()[0] for line in listed] == [str(each.pk) for each in imports]
        assert everything() == before

    @pytest.mark.parametrize(
        ("to", "said"),
        [
            ("Pooled", "--to is the policy whose pool already has these keys."),
            ("Unpooled", "No policy with a pool matches 'Unpooled'."),
            ("nothing", "No policy with a pool matches 'nothing'."),
            ("theirs", "No policy with a pool matches '"),
        ],
    )
    def test_move_to_another_place_is_refused(self, acme, rival, run, to, said):
        import_of(acme.policy, "KEY-0001")
        to = rival.policy.pk if to == "theirs" else to
        before = everything()

        code, _, error = run("move_import", "ACME PO 4711", "--policy", acme.policy.pk, "--to", to)

        assert code == 2
        assert error.startswith(said)
        assert everything() == before

    def test_reason_is_checked(self, pooled_policy, run):
        import_of(pooled_policy, "KEY-0001")
        before = everything()

        code, _, error = run("withdraw_import", "ACME PO 4711", "--policy", "Pooled", "--reason", "a\nb")

        assert (code, error) == (2, "--reason must have 255 characters at most, without control characters.")
        assert everything() == before


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
        monkeypatch.setattr("pools.management.pool_command.PrintingCommand.format_keys", end)

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
        outcome = manage("pop_key", "--policy", pooled_policy.pk, stdout=stdout)

    assert outcome.code == 5
    assert str(key.pk) in outcome.err
    assert "return_key" not in outcome.err
    (offered,) = [line.partition("manage.py ")[2] for line in outcome.err.splitlines() if "manage.py" in line]
    assert "KEY-0001" in manage(*shlex.split(offered)).out


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

        outcome = manage(*arguments, PYTHONIOENCODING=encoding)

        assert (outcome.code, outcome.out) == (1, "")
        assert "so nothing was changed. Use --json, or set PYTHONIOENCODING=utf-8." in outcome.err
        assert "Traceback" not in outcome.err
        assert everything() == before
        printed = manage(*arguments, "--json", PYTHONIOENCODING=encoding).out
        assert json.loads(printed)[0]["key"] == UMLAUT + "\N{EURO SIGN}"

    def test_nothing_is_popped_for_a_closed_standard_output(self, pooled_policy, audit, command):
        arguments = prepare(command, pooled_policy, audit, *numbered(2))
        before = everything()

        outcome = manage(*arguments, stdout=None)

        assert outcome == (1, "", "CommandError: Standard output is closed, so nothing was changed.\n")
        assert everything() == before

    @pytest.mark.parametrize("output", OUTPUTS)
    def test_keys_that_were_not_printed_can_be_returned(self, pooled_policy, audit, command, output):
        arguments = prepare(command, pooled_policy, audit, *numbered(2))
        waiting = list(pooled_policy.pool.available().values_list("pk", flat=True))

        with output() as stdout:
            outcome = manage(*arguments, stdout=stdout)

        assert outcome.code == 5
        assert "Traceback" not in outcome.err
        assert "Exception ignored" not in outcome.err
        assert not pooled_policy.pool.available().exists()
        offered = [line for line in outcome.err.splitlines() if line.startswith("  manage.py ")]
        assert len(offered) == len(waiting)
        for line in offered:
            assert manage(*shlex.split(line)[1:]).code == 0
        assert set(pooled_policy.pool.available().values_list("pk", flat=True)) == set(waiting)


@pytest.mark.django_db(transaction=True)
def test_replaced_key_of_a_license_is_read_at_the_license(pooled_policy, audit):
    """It cannot be returned, because the license has it."""
    key, replacement = add_keys(pooled_policy, *numbered(2))
    issue(pooled_policy, audit)

    with full_disk() as stdout:
        outcome = manage("replace_key", key.pk, "--policy", pooled_policy.pk, stdout=stdout)

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

        outcome = manage(*arguments, stdin=self.STDIN, PYTHONIOENCODING="ascii")

        assert outcome.code == (3 if arguments[0] == "import_keys" else 0)
        assert outcome.out
        assert outcome.err == ""
        assert everything() != before

    @pytest.mark.parametrize("output", [closed_pipe, None])
    def test_report_is_in_the_error_if_standard_output_fails(self, arguments, output):
        before = everything()

        if output is None:
            outcome = manage(*arguments, stdin=self.STDIN, stdout=None)
        else:
            with output() as stdout:
                outcome = manage(*arguments, stdin=self.STDIN, stdout=stdout)

        assert outcome.code == 5
        first, report, *_ = outcome.err.splitlines()
        assert first.startswith("CommandError: The command is done, but its output could not be written (")
        assert report
        assert "Traceback" not in outcome.err
        assert "Exception ignored" not in outcome.err
        assert everything() != before


@pytest.mark.django_db(transaction=True)
def test_terminal_is_told_that_the_key_is_read_from_it(pooled_policy, audit):
    add_keys(pooled_policy, "KEY-0001")
    pop(pooled_policy, audit)
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"KEY-0001\n\x04")

    with open(terminal, "rb", buffering=0) as stdin:
        outcome = manage("return_key", "-", "--policy", "Pooled", "--undelivered", stdin=stdin)

    os.close(keyboard)
    assert outcome.code == 0
    assert outcome.err == "Reading the key from standard input. Ctrl-D ends the input.\n"


# Files of keys -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
class TestExportToStandardOutput:
    def test_export_is_utf8_in_any_locale(self, pooled_policy):
        add_keys(pooled_policy, UMLAUT)

        outcome = manage("export_keys", "--policy", "Pooled", "--format", "text", PYTHONIOENCODING="ascii")

        assert outcome == (0, f"{UMLAUT}\n", "")

    @pytest.mark.parametrize("output", [output for output in OUTPUTS if output is not closed_pipe])
    def test_export_that_breaks_off_says_so(self, pooled_policy, output):
        add_keys(pooled_policy, *numbered(3))

        with output() as stdout:
            outcome = manage("export_keys", "--policy", "Pooled", stdout=stdout)

        assert outcome.code == 5
        assert outcome.err.startswith("CommandError: The export broke off: ")
        assert "The keys so far count as disclosed. Export them again." in outcome.err
        assert len(outcome.err.splitlines()) == 1

    def test_export_ends_quietly_when_its_reader_stops(self, pooled_policy):
        add_keys(pooled_policy, *numbered(3))

        with closed_pipe() as stdout:
            outcome = manage("export_keys", "--policy", "Pooled", stdout=stdout)

        assert (outcome.code, outcome.err) == (0, "")

    def test_nothing_is_exported_to_a_closed_standard_output(self, pooled_policy):
        add_keys(pooled_policy, "KEY-0001")
        before = everything()

        outcome = manage("export_keys", "--policy", "Pooled", stdout=None)

        assert outcome == (1, "", "CommandError: Standard output is closed, so nothing was exported.\n")
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
            assert "1 keys were added" in outcome.out  # all that failed is the file

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
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("old", [None, "of yesterday"])
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
