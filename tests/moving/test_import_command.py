"""`manage.py import_account`: its files, its output and its exit codes."""

import csv
import json
import logging

import pytest

from accounts.models import Account
from pools.models import Move
from tests.moving.exports import ENCRYPTED, FIXTURE, PLAIN, SECRETS
from tests.moving.test_no_key_twice import POPPED, WAITING
from tests.moving.test_refusals import everything, secrets
from tests.processes import Terminal, manage_here

EXPORT, TOKENS = FIXTURE / "plain.export", FIXTURE / "tokens.csv"


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text(f"{SECRETS['exportSecret']}\n")
    return file


class TestImport:
    def test_summary_has_a_line_for_each_class(self, transactional_db):
        code, out, err = manage_here("import_account", EXPORT, "--tokens", TOKENS)

        lines = out.splitlines()
        assert (code, err) == (0, "")
        assert lines[0].startswith("The account example-com (f1d2e3c4-b5a6-4789-8abc-def012345678) was imported (")
        assert lines[1].startswith("digest: sha-256=c95c6bde")
        counts = {line.split()[0]: line.split()[1] for line in lines[2:]}
        assert (counts["License"], counts["Key"], counts["Token"], counts["RolePermission"]) == ("17", "19", "8", "0")
        assert "WebhookEndpoint              0  (1 left out: is not kept by this server)" in out

    def test_encrypted_export_from_standard_input(self, transactional_db, secret_file):
        code, out, err = manage_here(
            "import_account",
            "-",
            "--without-tokens",
            *("--secret-file", secret_file),
            *("--slug", "elsewhere"),
            "--json",
            stdin=ENCRYPTED,
        )

        result = json.loads(out)
        assert (code, err) == (0, "")
        assert (result["slug"], result["dryRun"], result["findingsCount"]) == ("elsewhere", False, 0)
        assert {"class": "Key", "read": 19, "kept": 19, "leftOut": {}} in result["classes"]
        assert Account.objects.get(slug="elsewhere").move.source == "standard input"

    def test_dry_run_writes_nothing(self, transactional_db):
        before = everything()

        code, out, _ = manage_here("import_account", EXPORT, "--tokens", TOKENS, "--dry-run")

        assert code == 0
        assert "can be imported; nothing was written" in out
        assert everything() == before

    def test_left_out_rows_are_in_the_report_and_the_exit_code(self, transactional_db, tmp_path):
        used, more, report = (tmp_path / name for name in ("used.csv", "more.txt", "report.csv"))
        used.write_text("key,order\n" + "\n".join(f"{key},1" for key in (*POPPED, WAITING[0])) + "\n")
        more.write_text(f"{WAITING[1]}\n")

        code, out, _ = manage_here(
            "import_account", EXPORT, "--tokens", TOKENS, "--used-keys", used, more, "--report", report
        )

        with open(report) as file:
            rows = list(csv.DictReader(file))
        assert code == 3
        assert [(row["class"], row["label"], row["kept"]) for row in rows] == [
            ("Key", "BETA…7919", "no"),
            ("Key", "BETA…5838", "no"),
        ]
        assert "Key                         17  (2 left out: has been used, as the file of --used-keys says)" in out
        assert WAITING[0] not in out + report.read_text()

    def test_same_import_again_ends_with_6(self, transactional_db):
        assert manage_here("import_account", EXPORT, "--tokens", TOKENS).code == 0

        code, out, err = manage_here("import_account", EXPORT, "--tokens", TOKENS)

        assert (code, err) == (6, "")
        assert out == "Nothing was changed: the same export has been imported before.\n"
        assert Move.objects.count() == 1

    def test_digest_may_be_as_it_was_printed(self, transactional_db):
        digest = "sha-256=c95c6bdebafa767e809d4ee52fdfdcdf82c15ba9f9cc9ce7f572eca6389443af"

        assert manage_here("import_account", EXPORT, "--tokens", TOKENS, "--sha256", digest, "--dry-run").code == 0
        assert manage_here("import_account", EXPORT, "--sha256", digest[:-1] + "0", "--dry-run").code == 1

    def test_terminal_shows_the_progress(self, transactional_db):
        assert manage_here("import_account", EXPORT, "--tokens", TOKENS, "--dry-run", stream=Terminal).code == 0


class TestRefusals:
    def test_file_that_is_missing_or_not_the_right_one(self, transactional_db, tmp_path, secret_file):
        empty = tmp_path / "empty"
        empty.touch()
        cases = {
            ("import_account", tmp_path / "none"): (1, "none: No such file or directory"),
            ("import_account", empty): (1, "Error: The export is empty. Copy it again.\n"),
            ("import_account", FIXTURE / "encrypted.export"): (1, "give its secret with --secret-file.\n"),
            ("import_account", EXPORT, "--secret-file", secret_file): (1, "leave out --secret-file.\n"),
            ("import_account", EXPORT, "--secret-file", empty): (2, "must have one line with the secret"),
            ("import_account", EXPORT, "--tokens", EXPORT): (1, "Error: The table of tokens "),
            ("import_account", EXPORT, "--used-keys", FIXTURE / "encrypted.export"): (1, "encrypted.export"),
            ("import_account", EXPORT, "--report", EXPORT): (2, "is a file that this command reads"),
            ("import_account", EXPORT, "--report", empty): (2, "exists. Choose another file"),
        }
        before = everything()
        for arguments, (expected, said) in cases.items():
            code, out, err = manage_here(*arguments)

            assert (code, out) == (expected, ""), (arguments, err)
            assert said in err, (arguments, err)
            assert err.count("\n") == 1
        assert everything() == before

    def test_no_secret_is_printed_logged_or_kept_in_the_report(self, transactional_db, secret_file, caplog, tmp_path):
        caplog.set_level(logging.DEBUG)
        printed = ""
        for arguments in (
            [FIXTURE / "encrypted.export", "--secret-file", secret_file, "--report", tmp_path / "report.csv"],
            [FIXTURE / "encrypted.export"],
            [EXPORT, "--secret-file", secret_file],
        ):
            outcome = manage_here("import_account", *arguments, "--tokens", TOKENS)
            printed += outcome.out + outcome.err
        logged = " ".join(
            record.getMessage() for record in caplog.records if not record.name.startswith("django.db.backends")
        )
        move = Move.objects.get()

        for secret in secrets():
            assert secret not in printed
            assert secret not in logged
            assert secret not in (tmp_path / "report.csv").read_text()
            assert secret not in json.dumps([move.summary, move.findings, move.state, move.source])

    def test_cut_file_is_refused_in_one_line(self, transactional_db, tmp_path):
        file = tmp_path / "cut.export"
        file.write_bytes(PLAIN[:5000])

        code, out, err = manage_here("import_account", file)

        assert (code, out) == (1, "")
        assert err.startswith("Error: The export is incomplete: it ends within a chunk, at byte 5,000.")
        assert err.count("\n") == 1
