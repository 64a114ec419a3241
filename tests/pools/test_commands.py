"""`manage.py pop_key`, `export_keys`, `pools` and `check_pools`."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pools.models import Key, KeyEvent
from pools.services import import_keys, withdraw_key
from tests.cast import add_keys, make_policy, numbered
from tests.pools.test_import import ORIGIN, lines


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command(*map(str, arguments))
        return capsys.readouterr().out

    return run


class TestPopKey:
    def test_prints_the_next_key_alone(self, pooled_policy, run):
        add_keys(pooled_policy, *numbered(2))

        assert run("pop_key", "--policy", pooled_policy.pk) == "KEY-0001\n"
        assert run("pop_key", "--policy", "Pooled") == "KEY-0002\n"

    def test_stands_in_the_ledger_with_its_reference(self, pooled_policy, run):
        add_keys(pooled_policy, "KEY-0001")

        run("pop_key", "--policy", pooled_policy.pk, "--reference", "Order 4711")

        event = KeyEvent.objects.get()
        assert (event.event, event.operator, event.reference) == ("popped", "manage.py pop_key", "Order 4711")

    def test_takes_several_or_none(self, pooled_policy, run):
        add_keys(pooled_policy, *numbered(3))

        assert run("pop_key", "--policy", pooled_policy.pk, "--count", 2).splitlines() == numbered(2)
        with pytest.raises(CommandError, match="pool has fewer keys than asked for") as failed:
            run("pop_key", "--policy", pooled_policy.pk, "--count", 2)
        assert failed.value.returncode == 4
        assert pooled_policy.pool.available().count() == 1

    def test_prints_json(self, pooled_policy, run):
        (key,) = add_keys(pooled_policy, "KEY-0001")

        printed = run("pop_key", "--policy", pooled_policy.pk, "--json")

        assert json.loads(printed) == [{"id": str(key.pk), "key": "KEY-0001"}]

    def test_ends_with_4_when_the_pool_is_empty(self, pooled_policy, run):
        with pytest.raises(CommandError, match="pool is empty") as failed:
            run("pop_key", "--policy", pooled_policy.pk)

        assert failed.value.returncode == 4

    @pytest.mark.parametrize("wrong", [["--count", 0], ["--reference", "x" * 256], ["--reference", "a\nb"]])
    def test_refuses_what_makes_no_sense(self, pooled_policy, run, wrong):
        add_keys(pooled_policy, "KEY-0001")

        with pytest.raises(CommandError) as failed:
            run("pop_key", "--policy", pooled_policy.pk, *wrong)

        assert failed.value.returncode == 2
        assert pooled_policy.pool.available().count() == 1


class TestExportKeys:
    def test_prints_the_waiting_keys(self, pooled_policy, run, origin):
        add_keys(pooled_policy, *numbered(3))
        pooled_policy.pool.pop(origin)

        header, *rows = run("export_keys", "--policy", pooled_policy.pk).splitlines()

        assert header == "key,created,popped,withdrawn,import"
        assert [row.split(",")[0] for row in rows] == ["KEY-0002", "KEY-0003"]
        assert KeyEvent.objects.get(event="exported").operator == "manage.py export_keys"

    @pytest.mark.parametrize("named", ["id", "ACME PO 4711"])
    def test_narrows_by_import(self, pooled_policy, run, named):
        add_keys(pooled_policy, *numbered(2))
        report = import_keys(policy=pooled_policy, files=[lines("KEY-0003")], origin=ORIGIN, name="ACME PO 4711")

        named = report.key_import.pk if named == "id" else named
        printed = run("export_keys", "--policy", pooled_policy.pk, "--format", "text", "--import", named)

        assert printed == "KEY-0003\n"

    def test_narrows_by_time(self, pooled_policy, run):
        add_keys(pooled_policy, "KEY-0001")
        command = ["export_keys", "--policy", pooled_policy.pk, "--format", "text"]

        assert run(*command, "--since", "2000-01-01", "--until", "2100-01-01T12:00") == "KEY-0001\n"
        assert run(*command, "--since", "2100-01-01") == ""
        assert run(*command, "--until", "2000-01-01") == ""

    def test_writes_a_file(self, pooled_policy, run, tmp_path):
        add_keys(pooled_policy, "KEY-0001")

        printed = run("export_keys", "--policy", "Pooled", "--format", "text", "--output", tmp_path / "keys.txt")

        assert (printed, (tmp_path / "keys.txt").read_text()) == ("", "KEY-0001\n")

    @pytest.mark.parametrize("wrong", [["--import", "nothing"], ["--since", "yesterday"]])
    def test_refuses_what_makes_no_sense(self, pooled_policy, run, wrong):
        with pytest.raises(CommandError):
            run("export_keys", "--policy", pooled_policy.pk, *wrong)
        assert not KeyEvent.objects.exists()


class TestPools:
    @pytest.fixture(autouse=True)
    def keys(self, acme, rival, origin):
        add_keys(acme.policy, *numbered(9))
        for _ in range(4):
            acme.policy.pool.pop(origin)
        for number, days in enumerate((0, 2, 8), 1):
            Key.objects.with_key(f"KEY-000{number}").update(popped=timezone.now() - timedelta(days=days, seconds=5))
        withdraw_key(policy=acme.policy, text="KEY-0009", origin=origin)
        acme.policy.created = timezone.now() - timedelta(days=30)
        acme.policy.save()

    def test_counts_what_is_in_them_and_how_fast_they_go(self, acme, run):
        (row,) = json.loads(run("pools", "--json", "--account", "acme"))

        assert row == {
            "account": "acme",
            "policy": {"id": str(acme.policy.pk), "name": "Pooled"},
            "available": 4,
            "popped": 4,
            "withdrawn": 1,
            "day": 2,
            "week": 3,
            "daysLeft": 9,
        }

    def test_prints_a_table_of_all(self, run):
        header, acme, rival = run("pools").splitlines()

        assert header.split()[:5] == ["account", "policy", "available", "popped", "withdrawn"]
        assert acme.split() == ["acme", "Pooled", "4", "4", "1", "2", "3", "9"]
        assert rival.split() == ["rival", "Pooled", "0", "0", "0", "0", "0"]

    def test_asks_once_for_all(self, acme, run, django_assert_num_queries):
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
            (2, 1, (0, "OK: 1 pools have enough keys | 'Pooled'=3;2;1;0\n")),
            (3, 1, (1, "WARNING: Pooled has 3 | 'Pooled'=3;3;1;0\n")),
            (9, 3, (2, "CRITICAL: Pooled has 3 | 'Pooled'=3;9;3;0\n")),
        ],
    )
    def test_ends_as_monitoring_expects(self, acme, check, warn, critical, expected):
        add_keys(acme.policy, *numbered(3))

        assert check("--policy", acme.policy.pk, "--warn", warn, "--critical", critical) == expected

    def test_looks_at_all_pools_and_tells_of_the_low_ones(self, acme, rival, check):
        add_keys(acme.policy, *numbered(200))

        code, said = check()

        assert code == 2
        assert said == "CRITICAL: Pooled has 0 | 'Pooled'=101;100;10;0 'Pooled'=0;100;10;0\n"
        assert check("--account", "acme")[0] == 0

    def test_ends_with_3_when_it_cannot_tell(self, acme, check):
        code, said = check("--policy", "nothing")

        assert code == 3
        assert said.startswith("UNKNOWN: No policy with a pool is meant by 'nothing'")
