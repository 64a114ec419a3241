"""`manage.py pop_key` and `export_keys`: the key, the whole key and nothing but the key."""

import json

import pytest
from django.core.management import CommandError, call_command

from pools.models import KeyEvent
from pools.services import import_keys
from tests.cast import add_keys, numbered
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
