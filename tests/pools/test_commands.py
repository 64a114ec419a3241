"""`manage.py pop_key`, `export_keys`, `pools` and `check_pools`."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.utils import timezone

from licensing.models import Policy
from pools.models import Key, KeyEvent
from pools.services.imports import import_keys
from pools.services.keys import withdraw_key
from tests.cast import add_keys, make_policy, numbered
from tests.pools.test_import import ORIGIN, lines
from tests.processes import Terminal


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command(*map(str, arguments))
        return capsys.readouterr().out

    return run


class TestPopKey:
    def test_pop_key_prints_the_next_key_alone(self, pooled_policy, run):
        add_keys(pooled_policy, *numbered(2))

        assert run("pop_key", "--policy", pooled_policy.pk) == "KEY-0001\n"
        assert run("pop_key", "--policy", "Pooled") == "KEY-0002\n"

    def test_pop_key_is_recorded_in_the_ledger_with_its_reference(self, pooled_policy, run):
        add_keys(pooled_policy, "KEY-0001")

        run("pop_key", "--policy", pooled_policy.pk, "--reference", "Order 4711")

        event = KeyEvent.objects.get()
        assert (event.event, event.operator, event.reference) == ("popped", "manage.py pop_key", "Order 4711")

    def test_pop_key_takes_several_or_none(self, pooled_policy, run):
        add_keys(pooled_policy, *numbered(3))

        assert run("pop_key", "--policy", pooled_policy.pk, "--count", 2).splitlines() == numbered(2)
        with pytest.raises(CommandError, match="pool has fewer keys than asked for") as failed:
            run("pop_key", "--policy", pooled_policy.pk, "--count", 2)
        assert failed.value.returncode == 4
        assert pooled_policy.pool.available().count() == 1

    def test_pop_key_prints_json(self, pooled_policy, run):
        (key,) = add_keys(pooled_policy, "KEY-0001")

        printed = run("pop_key", "--policy", pooled_policy.pk, "--json")

        assert json.loads(printed) == {"keys": [{"id": str(key.pk), "key": "KEY-0001"}]}

    def test_pop_key_ends_with_4_when_the_pool_is_empty(self, pooled_policy, run):
        with pytest.raises(CommandError, match="pool is empty") as failed:
            run("pop_key", "--policy", pooled_policy.pk)

        assert failed.value.returncode == 4

    @pytest.mark.parametrize("wrong", [["--reference", "x" * 256], ["--reference", "a\nb"]])
    def test_pop_key_refuses_what_makes_no_sense(self, pooled_policy, run, wrong):
        add_keys(pooled_policy, "KEY-0001")

        with pytest.raises(CommandError) as failed:
            run("pop_key", "--policy", pooled_policy.pk, *wrong)

        assert failed.value.returncode == 2
        assert pooled_policy.pool.available().count() == 1


class TestExportKeys:
    def test_export_keys_prints_the_waiting_keys(self, pooled_policy, run, audit):
        add_keys(pooled_policy, *numbered(3))
        pooled_policy.pool.pop(audit)

        header, *rows = run("export_keys", "--policy", pooled_policy.pk).splitlines()

        assert header == "key,created,popped,withdrawn,import,reference,license,customer,batch,pool"
        assert [row.split(",")[0] for row in rows] == ["KEY-0002", "KEY-0003"]
        assert KeyEvent.objects.get(event="exported").operator == "manage.py export_keys"

    @pytest.mark.parametrize("named", ["id", "ACME PO 4711"])
    def test_export_keys_narrows_by_import(self, pooled_policy, run, named):
        add_keys(pooled_policy, *numbered(2))
        report = import_keys(policy=pooled_policy, files=[lines("KEY-0003")], audit=ORIGIN, name="ACME PO 4711")

        named = report.key_import.pk if named == "id" else named
        printed = run("export_keys", "--policy", pooled_policy.pk, "--format", "text", "--import", named)

        assert printed == "KEY-0003\n"

    def test_export_keys_refuses_text_of_all_states(self, pooled_policy, run):
        with pytest.raises(CommandError, match="csv or ndjson"):
            run("export_keys", "--policy", pooled_policy.pk, "--state", "all", "--format", "text")

    def test_export_keys_narrows_by_time(self, pooled_policy, run):
        add_keys(pooled_policy, "KEY-0001")
        command = ["export_keys", "--policy", pooled_policy.pk, "--format", "text"]

        assert run(*command, "--since", "2000-01-01", "--until", "2100-01-01T12:00") == "KEY-0001\n"
        assert run(*command, "--since", "2100-01-01") == ""
        assert run(*command, "--until", "2000-01-01") == ""

    def test_export_keys_writes_a_file(self, pooled_policy, run, tmp_path):
        add_keys(pooled_policy, "KEY-0001")

        printed = run("export_keys", "--policy", "Pooled", "--format", "text", "--output", tmp_path / "keys.txt")

        assert (printed, (tmp_path / "keys.txt").read_text()) == ("", "KEY-0001\n")

    @pytest.mark.sqlite
    @pytest.mark.parametrize("suffix", ["", "-wal"])
    def test_export_keys_does_not_overwrite_the_database(self, pooled_policy, run, tmp_path, monkeypatch, suffix):
        # Not the tests' own, which would be gone for all other tests if this one failed.
        monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "db.sqlite3"))
        database = tmp_path / f"db.sqlite3{suffix}"
        database.write_bytes(b"data")
        (tmp_path / "link").symlink_to(database)

        for path in database, tmp_path / "link":
            with pytest.raises(CommandError, match="is a file that this command reads") as failed:
                run("export_keys", "--policy", pooled_policy.pk, "--output", path, "--force")
            assert failed.value.returncode == 2

        assert database.read_bytes() == b"data"
        assert not KeyEvent.objects.exists()

    @pytest.mark.parametrize("wrong", [["--import", "nothing"], ["--since", "yesterday"]])
    def test_export_keys_refuses_what_makes_no_sense(self, pooled_policy, run, wrong):
        with pytest.raises(CommandError):
            run("export_keys", "--policy", pooled_policy.pk, *wrong)
        assert not KeyEvent.objects.exists()


class TestPools:
    @pytest.fixture(autouse=True)
    def keys(self, acme, rival, audit):
        add_keys(acme.policy, *numbered(9))
        for _ in range(4):
            acme.policy.pool.pop(audit)
        for number, days in enumerate((0, 2, 8), 1):
            Key.objects.with_key(f"KEY-000{number}").update(popped=timezone.now() - timedelta(days=days, seconds=5))
        withdraw_key(policy=acme.policy, text="KEY-0009", audit=audit)
        acme.policy.created = timezone.now() - timedelta(days=30)
        acme.policy.save()

    def test_pools_shows_the_stock_and_the_daily_use(self, acme, run):
        (row,) = json.loads(run("pools", "--json", "--account", "acme"))["pools"]

        assert row == {
            "account": "acme",
            "policy": {"id": str(acme.policy.pk), "name": "Pooled"},
            "available": 4,
            "popped": 4,
            "withdrawn": 1,
            "poppedLastDay": 2,
            "poppedLastWeek": 3,
            "daysLeft": 9,
        }

    def test_pools_prints_a_table_of_all(self, run):
        header, acme, rival = run("pools").splitlines()

        assert header.split()[:5] == ["account", "policy", "available", "popped", "withdrawn"]
        assert acme.split() == ["acme", "Pooled", "4", "4", "1", "2", "3", "9"]
        assert rival.split() == ["rival", "Pooled", "0", "0", "0", "0", "0"]

    @pytest.mark.parametrize("columns", [50, 120])
    def test_numbers_are_whole_on_a_terminal(self, acme, monkeypatch, columns):
        Policy.objects.filter(pk=acme.policy.pk).update(name="A policy whose name is longer than a line of 50")
        monkeypatch.setattr("pools.management.commands.pools.days_left", lambda *_: 1_234_567)
        monkeypatch.setenv("COLUMNS", str(columns))
        out = Terminal(io.BytesIO(), encoding="utf-8", write_through=True)

        call_command("pools", stdout=out)

        shown = out.buffer.getvalue().decode()
        assert "1,234,567" in shown
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= columns
        assert len(shown.splitlines()) == (3 if columns == 120 else 16)

    def test_pool_that_lasts_for_less_than_a_day_is_not_empty(self, monkeypatch, run):
        monkeypatch.setattr("pools.management.commands.pools.days_left", lambda *_: 0)

        _, acme, rival = run("pools").splitlines()

        assert (acme.split()[-1], rival.split()[-1]) == ("<1", "0")

    def test_pools_asks_once_for_all(self, acme, run, django_assert_num_queries):
        for number in range(5):
            make_policy(acme.product, f"Number {number}", use_pool=True)

        with django_assert_num_queries(2):
            run("pools")


class TestCheckPools:
    @pytest.fixture
    def check(self, capsys):
        def check(*arguments):
            code = 0
            try:
                call_command("check_pools", *map(str, arguments))
            except SystemExit as end:
                code = end.code
            return code, capsys.readouterr().out

        return check

    @pytest.mark.parametrize(
        ("warn", "critical", "expected"),
        [
            (2, 1, (0, "OK: 1 pool has enough keys | 'acme/Pooled'=3;2;1;0\n")),
            (3, 1, (1, "WARNING: acme/Pooled has 3 | 'acme/Pooled'=3;3;1;0\n")),
            (9, 3, (2, "CRITICAL: acme/Pooled has 3 | 'acme/Pooled'=3;9;3;0\n")),
        ],
    )
    def test_check_pools_ends_as_monitoring_expects(self, acme, check, warn, critical, expected):
        add_keys(acme.policy, *numbered(3))

        assert check("--policy", acme.policy.pk, "--warn", warn, "--critical", critical) == expected

    def test_check_pools_looks_at_all_pools_and_tells_of_the_low_ones(self, acme, rival, check):
        add_keys(acme.policy, *numbered(200))

        code, said = check()

        assert code == 2
        assert said == "CRITICAL: rival/Pooled has 0 | 'acme/Pooled'=101;100;10;0 'rival/Pooled'=0;100;10;0\n"
        assert check("--account", "acme")[0] == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--policy", "nothing"], "No policy with a pool matches 'nothing'"),
            (["--account", "nothing"], "There is no account 'nothing'."),
            (["--warn", 5, "--critical", 6], "--critical must be 0 or more, and no more than --warn."),
            (["--critical", -1], "--critical must be 0 or more, and no more than --warn."),
        ],
    )
    def test_check_pools_ends_with_3_when_it_cannot_tell(self, acme, check, arguments, said):
        code, printed = check(*arguments)

        assert code == 3
        assert printed.startswith(f"UNKNOWN: {said}")
        assert len(printed.splitlines()) == 1

    def test_check_pools_ends_with_3_without_any_pool(self, acme, check):
        acme.policy.delete()

        assert check() == (3, "UNKNOWN: There is no policy with a pool.\n")

    def test_check_pools_ends_with_3_when_the_project_is_not_in_order(self, acme, monkeypatch, capsys):
        def fail(*_, **__):
            raise SystemCheckError("The clock of this machine | is years slow.\n")

        monkeypatch.setattr("pools.management.commands.check_pools.Command.check", fail)

        with pytest.raises(SystemExit) as end:
            call_command("check_pools", skip_checks=False)

        assert (end.value.code, capsys.readouterr().out) == (3, "UNKNOWN: The clock of this machine / is years slow.\n")

    @pytest.mark.parametrize(
        ("name", "label", "shown"),
        [
            ("Ann's", "'acme/Ann''s'", "acme/Ann's"),
            ("a|b=c", "'acme/a/b-c'", "acme/a/b-c"),
            ("one\ntwo\tthree", "'acme/one two three'", "acme/one two three"),
            ("Schlüssel", "'acme/Schlüssel'", "acme/Schlüssel"),
        ],
    )
    def test_no_name_breaks_the_line(self, acme, check, name, label, shown):
        Policy.objects.filter(pk=acme.policy.pk).update(name=name)

        assert check() == (2, f"CRITICAL: {shown} has 0 | {label}=0;100;10;0\n")

    def test_labels_of_pools_of_one_name_differ(self, acme, rival, check):
        second = make_policy(acme.product, "Pooled", use_pool=True)

        _, said = check()

        labels = re.findall(r"'([^']*)'=", said)
        assert labels == [f"acme/Pooled ({acme.policy.pk})", "rival/Pooled", f"acme/Pooled ({second.pk})"]

    def test_check_pools_prints_what_the_terminal_cannot_show(self, acme, monkeypatch):
        Policy.objects.filter(pk=acme.policy.pk).update(name="Schlüssel")
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr("sys.stdout", out)

        with pytest.raises(SystemExit) as end:
            call_command("check_pools")

        assert end.value.code == 2
        assert out.buffer.getvalue().startswith(rb"CRITICAL: acme/Schl\xfcssel has 0")
