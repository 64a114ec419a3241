"""`manage.py import_keys`: files, reports and exit codes."""

import csv
import gzip
import io
import json
import os
import stat
import subprocess
import time

import pytest
from django.core.management import CommandError, call_command

from pools.models import Key, KeyImport
from pools.services.import_workers import LOW_PRIORITY
from tests.cast import make_policy, numbered
from tests.processes import invocation, manage


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """`run(…)` returns the command's output and its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = 0
        try:
            call_command("import_keys", *map(str, arguments))
        except SystemExit as end:
            code = end.code
        return capsys.readouterr().out, code

    return run


def keys_of(policy):
    return [key.key for key in policy.pool.available().order_by("id")]


def test_import_keys_adds_files_of_all_kinds(pooled_policy, run, tmp_path):
    (tmp_path / "a.txt").write_text("KEY-0001\nKEY-0002\n")
    (tmp_path / "b.csv").write_text("id,key\n1,KEY-0003\n")
    (tmp_path / "c.ndjson.gz").write_bytes(gzip.compress(b'{"key": "KEY-0004"}\n'))

    said, code = run("a.txt", "b.csv", "c.ndjson.gz", "--policy", pooled_policy.pk, "--name", "ACME PO 4711")

    assert code == 0
    assert "4 keys were added to the pool of 'Pooled'" in said
    assert keys_of(pooled_policy) == numbered(4)
    key_import = KeyImport.objects.get()
    assert (key_import.name, key_import.source) == ("ACME PO 4711", "a.txt, b.csv, c.ndjson.gz")
    assert key_import.operator == "manage.py import_keys"


def test_import_keys_reads_standard_input(pooled_policy, run, monkeypatch):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"code\nKEY-0001\n")))
    monkeypatch.setattr("sys.stdin", stdin)

    _, code = run("-", "--policy", pooled_policy.pk, "--format", "csv")

    assert (code, keys_of(pooled_policy)) == (0, numbered(1))


@pytest.mark.parametrize(("options", "added"), [([], 0), (["--skip-invalid"], 2), (["--skip-invalid", "--dry-run"], 0)])
def test_import_keys_ends_with_3_when_lines_are_rejected(pooled_policy, run, tmp_path, options, added):
    (tmp_path / "a.txt").write_bytes(b"KEY-0001\nshort\n\nKEY-0002\nKEY-0001\nKEY\x07-0003\n")

    said, code = run("a.txt", "--policy", pooled_policy.pk, "--rejected", "rejected.csv", "--first", 2, *options)

    assert (code, len(keys_of(pooled_policy))) == (3, added)
    assert "3 lines were rejected" in said
    assert "Blank lines that were skipped: 1.\n" in said
    assert "  a.txt:2: shor…: The key is too short (minimum is 8 characters)\n" in said
    assert "  a.txt:5: KEY-…: Same as line 1\n" in said
    assert "a.txt:6" not in said
    rejected = (tmp_path / "rejected.csv").read_text(encoding="utf-8")
    bell = "U+0007 (control character) at character 4"
    assert list(csv.reader(rejected.splitlines())) == [
        ["file", "line", "code", "reason", "text"],
        ["a.txt", "2", "too_short", "The key is too short (minimum is 8 characters)", "short"],
        ["a.txt", "5", "repeated", "Same as line 1", "KEY-0001"],
        ["a.txt", "6", "control", f"The key has control characters: {bell}", "KEY\\x07-0003"],
    ]


def test_import_keys_prints_the_report_as_json(pooled_policy, run, tmp_path):
    (tmp_path / "a.txt").write_text("KEY-0001\nKEY-0002\nshort\n")

    said, code = run("a.txt", "--policy", pooled_policy.pk, "--skip-invalid", "--json")

    report = json.loads(said)
    assert report.pop("seconds") >= 0
    assert [(each["file"], each["kind"]) for each in report.pop("understood")] == [("a.txt", "text")]
    assert report == {
        "dryRun": False,
        "import": str(KeyImport.objects.get().pk),
        "lines": 3,
        "blank": 0,
        "added": 2,
        "rejected": 1,
        "reasons": {"too_short": 1},
        "rejections": [
            {
                "file": "a.txt",
                "line": 3,
                "code": "too_short",
                "detail": "The key is too short (minimum is 8 characters)",
            }
        ],
        "wouldAdd": None,
        "alreadyImported": False,
        "trimmed": 0,
        "used": 0,
        "firstKeys": numbered(2),
        "lastKeys": numbered(2),
        "warnings": [],
    }
    assert code == 3


@pytest.mark.parametrize("option", ["--dry-run", "--skip-invalid", "--json"])
def test_import_keys_ends_with_6_when_a_file_was_imported_before(pooled_policy, run, tmp_path, option):
    (tmp_path / "a.txt").write_text("KEY-0001\n")
    run("a.txt", "--policy", pooled_policy.pk)

    said, code = run("a.txt", "--policy", pooled_policy.pk, option)

    assert code == 6
    if option == "--json":
        assert json.loads(said)["alreadyImported"] is True
    else:
        assert "all keys of the file have been imported before" in said


class TestReading:
    """How files are read: by their content, and by the options."""

    @pytest.mark.parametrize(
        ("file", "options", "shown"),
        [
            (
                b"key;note\r\nKEY-0001;a\r\nKEY-0002;b\r\n",
                [],
                "a.txt: CSV, UTF-8, columns separated by semicolons. The keys are in the column key. "
                "The first row is a header, not a key. Ignored columns: note.\nFirst keys: KEY-0001, KEY-0002\n",
            ),
            (
                "Schlüssel;Größe\nKEY-0001;Öl\nKEY-0002;Äh\n".encode("windows-1252"),
                ["--encoding", "windows-1252", "--column", "Schlüssel"],
                "The keys are in the column Schlüssel. The first row is a header, not a key. Ignored columns: Größe.",
            ),
            (b"Game\tKEY-0001\nGame\tKEY-0002\n", ["--delimiter", "tab", "--no-header", "--column", "2"], "tabs"),
            (b"KEY-0000\nKEY-0001\nKEY-0002\n", ["--header", "--column", "1"], "The first row is a header"),
            (b" KEY-0001\nKEY-0002 \n", ["--trim"], "2 lines had blanks around the key, which were removed."),
            (b'["KEY-0001", "KEY-0002"]', ["--format", "json"], "JSON list"),
        ],
    )
    def test_content_and_options_decide(self, pooled_policy, run, tmp_path, file, options, shown):
        (tmp_path / "a.txt").write_bytes(file)

        said, code = run("a.txt", "--policy", pooled_policy.pk, *options)

        assert shown in said
        assert (code, keys_of(pooled_policy)) == (0, numbered(2))

    @pytest.mark.parametrize(
        ("file", "shown"),
        [
            (b"", "a.txt: The file has no keys"),
            (b"\n \n", "The file has no keys"),
            (b"license key\n", "The file has no keys"),
            (b"<html><body>Error</body></html>", "a.txt: This is a web page"),
            (b"Product,Note\nGame,AAAA-0001\nGame,AAAA-0002\n", "  2  Note: AAAA-0001, AAAA-0002"),
        ],
    )
    @pytest.mark.parametrize("option", ["--dry-run", "--skip-invalid", "--json"])
    def test_file_is_refused_as_a_whole(self, pooled_policy, run, tmp_path, file, shown, option):
        (tmp_path / "a.txt").write_bytes(file)

        with pytest.raises(CommandError) as failed:
            run("a.txt", "--policy", pooled_policy.pk, option)

        assert (failed.value.returncode, keys_of(pooled_policy)) == (1, [])
        assert shown in str(failed.value)

    def test_fault_at_the_end_of_a_file_names_the_file(self, pooled_policy, run, tmp_path):
        lines = "".join(f"KEY-{number:08}\n" for number in range(100_000)).encode()
        (tmp_path / "a.txt").write_bytes(b"KEY-0001\n")
        (tmp_path / "b.txt").write_bytes(lines + b"SCHL\xdcSSEL\n")

        with pytest.raises(CommandError, match=r"^b\.txt: ") as failed:
            run("a.txt", "b.txt", "--policy", pooled_policy.pk)

        assert (failed.value.returncode, keys_of(pooled_policy)) == (1, [])

    @pytest.mark.parametrize(
        ("used_rows", "code", "available", "popped"),
        [([], 3, 0, 0), (["--used-rows", "used"], 0, 1, 1), (["--used-rows", "ignore"], 0, 2, 0)],
    )
    def test_used_rows_are(self, pooled_policy, run, tmp_path, used_rows, code, available, popped):
        (tmp_path / "a.csv").write_text("key,status\nKEY-0001,sold\nKEY-0002,available\n")

        _, ended = run("a.csv", "--policy", pooled_policy.pk, *used_rows)

        pool = pooled_policy.pool
        counts = pool.available().count(), pool.filter(popped__isnull=False).count()
        assert (ended, counts) == (code, (available, popped))

    @pytest.mark.parametrize("option", [["--format", "pdf"], ["--used-rows", "sell"]])
    def test_unknown_values_are_wrong_usage(self, pooled_policy, run, tmp_path, option):
        (tmp_path / "a.txt").write_text("KEY-0001\n")

        with pytest.raises(CommandError, match="invalid choice"):
            run("a.txt", "--policy", pooled_policy.pk, *option)


class TestWarnings:
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        keys = [f"ABCD-EFGH-{number:04}" for number in range(30)]
        (tmp_path / "a.txt").write_text("\n".join([*keys, "Thank you for your order", ""]))

    @pytest.mark.parametrize("option", ["--skip-invalid", "--dry-run"])
    def test_serious_warnings_end_with_3(self, pooled_policy, run, option):
        said, code = run("a.txt", "--policy", pooled_policy.pk, option)

        assert (code, keys_of(pooled_policy)) == (3, [])
        assert "Serious warning: " in said
        assert "Line 31 is " in said

    def test_serious_warnings_may_be_accepted(self, pooled_policy, run):
        said, code = run("a.txt", "--policy", pooled_policy.pk, "--accept-warnings")

        assert (code, len(keys_of(pooled_policy))) == (0, 31)
        assert "Serious warning: " in said


def test_help_has_the_options_examples_and_exit_codes():
    said = manage("import_keys", "--help").out

    for text in (
        "--no-header",
        "--used-rows",
        "manage.py import_keys keys.txt --policy",
        "\n  6    all keys have been",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("file", "said"),
    [("missing.txt", "missing.txt: No such file"), ("broken.gz", "broken.gz: "), ("wide.csv", "wide.csv: ")],
)
def test_import_keys_ends_with_1_when_a_file_cannot_be_read(pooled_policy, run, tmp_path, file, said):
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bno")
    (tmp_path / "wide.csv").write_text("one,two\nAAAA-0001,BBBB-0001\nAAAA-0002,BBBB-0002\n")

    with pytest.raises(CommandError, match=said) as failed:
        run(file, "--policy", pooled_policy.pk)

    assert failed.value.returncode == 1


class TestRejected:
    """`--rejected` never writes to a file that the command reads."""

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        (tmp_path / "a.txt").write_text("KEY-0001\nKEY-0003\nshort\n")
        (tmp_path / "b.txt").write_text("KEY-0002\nKEY-0004\nshort\n")
        (tmp_path / "folder").mkdir()
        (tmp_path / "symbolic").symlink_to("b.txt")
        (tmp_path / "twice").symlink_to("symbolic")
        (tmp_path / "hard").hardlink_to(tmp_path / "b.txt")

    @pytest.mark.parametrize("output", ["b.txt", "./b.txt", "folder/../b.txt", "whole", "symbolic", "twice", "hard"])
    @pytest.mark.parametrize("options", [[], ["--dry-run"], ["--force"]])
    def test_file_of_rejections_is_refused(self, pooled_policy, run, tmp_path, output, options):
        output = tmp_path / "b.txt" if output == "whole" else output

        with pytest.raises(CommandError, match=r"--rejected: .* is a file that this command reads") as failed:
            run("a.txt", "b.txt", "--policy", pooled_policy.pk, "--skip-invalid", "--rejected", output, *options)

        assert failed.value.returncode == 2
        assert (tmp_path / "b.txt").read_text() == "KEY-0002\nKEY-0004\nshort\n"
        assert keys_of(pooled_policy) == []

    def test_file_of_rejections_is_refused_when_the_key_file_is_the_link(self, pooled_policy, run, tmp_path):
        with pytest.raises(CommandError, match="is a file that this command reads"):
            run("twice", "--policy", pooled_policy.pk, "--rejected", "b.txt")

        assert (tmp_path / "b.txt").read_text() == "KEY-0002\nKEY-0004\nshort\n"

    def test_file_of_rejections_replaces_another_file_by_force_only(self, pooled_policy, run, tmp_path):
        file = tmp_path / "rejected.csv"
        file.write_text("of yesterday")
        options = ("a.txt", "--policy", pooled_policy.pk, "--skip-invalid", "--rejected", "rejected.csv")

        with pytest.raises(CommandError, match="rejected.csv exists"):
            run(*options)
        assert file.read_text() == "of yesterday"
        assert not Key.objects.exists()

        run(*options, "--force")

        assert "a.txt,3,too_short" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_file_of_rejections_may_be_a_device(self, pooled_policy, run, tmp_path):
        (tmp_path / "a.txt").write_text("KEY-0001\n")

        said, code = run("a.txt", "--policy", pooled_policy.pk, "--rejected", "/dev/null")

        assert code == 0


@pytest.mark.django_db(transaction=True)
def test_import_keys_lets_requests_go_first(pooled_policy):
    arguments = invocation("import_keys", "-", "--policy", pooled_policy.pk)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with subprocess.Popen(**arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as command:
        while command.poll() is None and os.getpriority(os.PRIO_PROCESS, command.pid) == own:
            time.sleep(0.01)
        priority = os.getpriority(os.PRIO_PROCESS, command.pid)
        command.communicate(b"KEY-0001\nKEY-0002\n")

    assert priority == min(own + LOW_PRIORITY, 19)
    assert command.returncode == 0
    assert keys_of(pooled_policy) == numbered(2)


@pytest.mark.django_db(transaction=True)
def test_rejected_is_not_the_file_at_standard_input(pooled_policy, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("KEY-0001\nshort\n")

    with file.open("rb") as stdin:
        outcome = manage("import_keys", "-", "--policy", pooled_policy.pk, "--rejected", file, stdin=stdin)

    assert outcome.code == 2
    assert file.read_text() == "KEY-0001\nshort\n"


def test_file_names_need_not_be_utf8(pooled_policy, run, tmp_path):
    name = os.fsdecode(b"Schl\xfcssel.txt")
    (tmp_path / name).write_bytes(b"KEY-0001\nKEY-0002\nKEY\x07-0003\n")

    said, _ = run(name, "--policy", pooled_policy.pk, "--skip-invalid", "--rejected", "rejected.csv")

    assert KeyImport.objects.get().source == r"Schl\xfcssel.txt"
    assert r"  Schl\xfcssel.txt:3: KEY\…: The key has control characters" in said
    assert r"Schl\xfcssel.txt,3,control,The key has control characters" in (tmp_path / "rejected.csv").read_text()


@pytest.mark.parametrize("name", ["x" * 256, "a\nb", os.fsdecode(b"\xff")])
def test_import_keys_refuses_a_name_that_cannot_be_stored(pooled_policy, run, tmp_path, name):
    (tmp_path / "a.txt").write_text("KEY-0001\n")

    with pytest.raises(CommandError, match="--name must have 255 characters at most") as failed:
        run("a.txt", "--policy", pooled_policy.pk, "--name", name)

    assert failed.value.returncode == 2


class TestPolicy:
    """How a pool is named at the command line, the same for all commands."""

    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        (tmp_path / "a.txt").write_text("KEY-0001\n")

    @pytest.mark.parametrize("named", ["Pooled", "Poo", "poo", "id", "ID", "beginning of the id"])
    def test_policy_is_meant_by(self, pooled_policy, run, named):
        uuid = str(pooled_policy.pk)
        named = {"id": uuid, "ID": uuid.upper().replace("-", ""), "beginning of the id": uuid[:30]}.get(named, named)

        run("a.txt", "--policy", named)

        assert keys_of(pooled_policy) == numbered(1)

    def test_exact_name_wins_over_a_beginning(self, acme, run):
        make_policy(acme.product, "Pooled too", use_pool=True)

        run("a.txt", "--policy", "Pooled")

        assert keys_of(acme.policy) == numbered(1)

    @pytest.mark.parametrize(
        ("named", "said"),
        [("P", "Several policies match 'P'"), ("Unpooled", "No policy with a pool matches"), ("0", "Several")],
    )
    def test_policy_lists_the_candidates(self, acme, rival, run, named, said):
        with pytest.raises(CommandError, match=said) as failed:
            run("a.txt", "--policy", named)

        assert failed.value.returncode == 2
        for company in acme, rival:
            assert f"{company.policy.pk}  {company.account.slug}  Pooled" in str(failed.value)

    def test_policy_is_told_apart_by_the_account(self, acme, rival, run):
        run("a.txt", "--policy", "Pooled", "--account", "rival")

        assert keys_of(rival.policy) == numbered(1)
        with pytest.raises(CommandError, match="There is no account 'unknown'"):
            run("a.txt", "--policy", "Pooled", "--account", "unknown")
