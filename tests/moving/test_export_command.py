"""The command `export_account`: its files, its report, its single snapshot, and its errors."""

import csv
import hashlib
import json
import os
import stat
from threading import Thread

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.models import Activity
from keygen_site.db.snapshots import snapshot
from pools.models import Key
from pools.moving.format import ExportWriter
from tests.cast import add_keys, numbered
from tests.moving.exports import read_export
from tests.pools.test_command_outputs import OUTPUTS
from tests.processes import Terminal, manage_here

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a secret of the export"


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text(f"{SECRET}\n")
    return file


def export(*arguments, **options):
    return manage_here("export_account", *arguments, **options)


def test_files_are_complete_private_and_of_their_digest(acme, audit, tmp_path, secret_file):
    add_keys(acme.policy, *numbered(3))
    acme.policy.pool.pop(audit)
    files = {name: tmp_path / name for name in ("acme.export", "tokens.csv", "used.csv")}

    outcome = export(
        "acme",
        *("--secret-file", secret_file),
        *("--output", files["acme.export"]),
        *("--tokens", files["tokens.csv"]),
        *("--used-keys", files["used.csv"]),
    )

    assert (outcome.code, outcome.out) == (0, "")
    content = files["acme.export"].read_bytes()
    assert outcome.err.startswith(f"digest: sha-256={hashlib.sha256(content).hexdigest()}\n")
    assert [row["key"] for row in read_export(content, SECRET)["Key"]] == ["KEY-0002", "KEY-0003"]
    assert [row["key"] for row in csv.DictReader(files["used.csv"].open())] == ["KEY-0001"]
    assert files["tokens.csv"].read_text().startswith("id,account_id,activations,")
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert sorted(os.listdir(tmp_path)) == sorted([*files, "secret.txt"])
    entry = Activity.objects.latest("id")
    assert (entry.event, entry.noun, entry.operator) == ("exported", "account", "manage.py export_account")
    assert SECRET not in outcome.err


def test_report_has_what_was_exported_and_what_was_not(acme, audit, tmp_path):
    add_keys(acme.policy, *numbered(3))
    acme.policy.pool.pop(audit)

    outcome = export("acme", "--output", tmp_path / "acme.export", "--json")

    result = json.loads(outcome.out)
    assert result["digest"] in outcome.err
    assert (result["exported"]["Key"], result["exported"]["Policy"]) == (2, 2)
    left_out = {each["what"]: each["count"] for each in result["notExported"]}
    assert left_out["used keys without a license: write them with --used-keys"] == 1
    assert left_out["events of keys"] == acme.account.key_events.count()
    assert "muted pools" not in left_out
    assert "          1  used keys without a license: write them with --used-keys\n" in outcome.err


def test_standard_output_is_the_export(acme, tmp_path):
    with (tmp_path / "out").open("wb") as out:
        outcome = export("acme", stdout=out)

    content = (tmp_path / "out").read_bytes()
    assert outcome.code == 0
    assert read_export(content)["Account"][0]["slug"] == "acme"
    assert hashlib.sha256(content).hexdigest() in outcome.err


@pytest.mark.without_database
@pytest.mark.parametrize("output", OUTPUTS)
def test_an_export_that_breaks_off_says_so(acme, output):
    with output() as stdout:
        outcome = export("acme", stdout=stdout)

    assert outcome.code == 5
    assert outcome.err.startswith("Error: The export broke off (")
    assert outcome.err.count("\n") == 1


class TestRefusals:
    def test_an_unknown_account(self, acme):
        assert export("nothing", "--output", "x") == (2, "", "Error: There is no account 'nothing'.\n")

    def test_a_terminal(self, acme):
        outcome = export("acme", stream=Terminal)

        assert (outcome.code, outcome.out) == (2, "")
        assert "Write it to a file with --output" in outcome.err

    def test_json_with_the_export_on_the_same_output(self, acme):
        assert export("acme", "--json").err == "Error: --json needs --output: standard output has the export.\n"

    @pytest.mark.parametrize("option", ["--output", "--tokens", "--used-keys", "--used-digests"])
    @pytest.mark.parametrize("force", ["--force", "--overwrite"])
    def test_an_existing_file_unless_it_may_be_replaced(self, acme, tmp_path, option, force):
        names = ("--output", "--tokens", "--used-keys", "--used-digests")
        files = {name: tmp_path / name[2:] for name in names}
        files[option].write_text("of yesterday")
        arguments = [argument for pair in files.items() for argument in pair]

        refused = export("acme", *arguments)

        assert refused.code == 2
        assert f"{option}: {files[option]} exists." in refused.err
        assert os.listdir(tmp_path) == [files[option].name]
        assert export("acme", *arguments, force).code == 0
        assert "of yesterday" not in files[option].read_bytes().decode(errors="replace")

    def test_one_file_for_two_things(self, acme, tmp_path, secret_file):
        outcome = export("acme", "--output", tmp_path / "x", "--tokens", tmp_path / "x")
        assert (outcome.code, os.listdir(tmp_path)) == (2, ["secret.txt"])

        outcome = export("acme", "--output", secret_file, "--secret-file", secret_file, "--force")
        assert outcome.code == 2
        assert secret_file.read_text() == f"{SECRET}\n"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "No such file or directory"),
            (b"", "must have one line with the secret"),
            (b"\n", "must have one line with the secret"),
            (b"s3cret\nof two lines\n", "must have one line with the secret"),
            (b"s3cret" * 1000, "must have one line with the secret, of 4,096 bytes at most"),
            (b"s3cret\xff", "must be UTF-8"),
        ],
    )
    def test_a_secret_that_cannot_be_used_is_not_quoted(self, acme, tmp_path, content, said):
        file = tmp_path / "secret.txt"
        if content is not None:
            file.write_bytes(content)

        outcome = export("acme", "--secret-file", file, "--output", tmp_path / "x")

        assert outcome.code == 2
        assert said in outcome.err
        assert "s3cret" not in outcome.err
        assert not (tmp_path / "x").exists()


class TestOneMoment:
    def test_all_files_are_of_one_moment(self, acme, audit, tmp_path, monkeypatch):
        """A key that is popped while the export is written is in it as it was when the export began."""
        add_keys(acme.policy, *numbered(2))
        write, popped = ExportWriter.write, []

        def pop_and_write(self, class_name, rows):
            write(self, class_name, rows)
            if class_name == "Account":
                thread = Thread(target=lambda: popped.append(pop_in_this_thread(acme, audit)))
                thread.start()
                thread.join(timeout=60)

        monkeypatch.setattr(ExportWriter, "write", pop_and_write)

        outcome = export("acme", "--output", tmp_path / "x", "--used-keys", tmp_path / "used.csv")

        assert (outcome.code, popped) == (0, ["KEY-0001"])
        keys = [row["key"] for row in read_export((tmp_path / "x").read_bytes())["Key"]]
        assert keys == ["KEY-0001", "KEY-0002"]
        assert (tmp_path / "used.csv").read_text().count("\n") == 1  # the header
        assert Key.objects.available().count() == 1

    def test_a_snapshot_writes_nothing(self, acme):
        if connection.vendor == "postgresql":
            with pytest.raises(DatabaseError, match="read-only"), snapshot():
                acme.account.save()
        else:
            with snapshot():
                acme.account.name = "changed"
                Key.objects.count()
                connection.cursor().execute("UPDATE accounts_account SET name = 'changed'")
        acme.account.refresh_from_db()
        assert acme.account.name == "Acme"

    def test_a_connection_is_as_before_after_a_snapshot(self, acme, settings):
        before = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        with pytest.raises(ZeroDivisionError), snapshot():
            _ = 1 / 0

        assert connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS") in (before, False)
        assert not connection.in_atomic_block
        with transaction.atomic():
            acme.account.save()


def pop_in_this_thread(acme, audit):
    try:
        return acme.policy.pool.pop(audit).key
    finally:
        connection.close()
