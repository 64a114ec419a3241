"""Heartbeats of machines and processes, and culling (contract: machines 6)."""

import json
from datetime import timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Activity
from licensing.models import Machine, Process
from tests.errors import UNPROCESSABLE, assert_refused
from tests.licensing.documents import ids
from tests.licensing.machines import make_floating, make_machine, make_process
from tests.races import Holder, run_while_held
from tests.tables import each_row


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


def status_of(response):
    attributes = response.json()["data"]["attributes"]
    return attributes.get("heartbeatStatus") or attributes["status"]


def dead(noun):
    return {"title": "Unprocessable entity", "detail": "is dead", "code": f"{noun.upper()}_HEARTBEAT_DEAD"}


# Terms of the policy, the seconds since the last heartbeat (None: never; the machine is then 601 seconds old), the
# status, and whether it is to be culled.
STATES = [
    ({}, None, "NOT_STARTED", False),
    ({}, 1, "ALIVE", False),
    ({}, 601, "DEAD", True),
    ({"heartbeat_duration": 700}, 601, "ALIVE", False),
    ({"heartbeat_duration": 60}, 61, "DEAD", True),
    ({"require_heartbeat": True}, None, "DEAD", True),
    ({"require_heartbeat": True, "heartbeat_duration": 700}, None, "NOT_STARTED", False),
    ({"heartbeat_cull_strategy": "KEEP_DEAD"}, 601, "DEAD", False),
    ({"heartbeat_resurrection_strategy": "1_MINUTE_REVIVE"}, 601, "DEAD", False),
    ({"heartbeat_resurrection_strategy": "1_MINUTE_REVIVE"}, 661, "DEAD", True),
    ({"heartbeat_resurrection_strategy": "15_MINUTE_REVIVE"}, 661, "DEAD", False),
    ({"heartbeat_resurrection_strategy": "1_MINUTE_REVIVE", "require_heartbeat": True}, None, "DEAD", True),
    (
        {"heartbeat_resurrection_strategy": "ALWAYS_REVIVE", "heartbeat_cull_strategy": "KEEP_DEAD"},
        90_000,
        "DEAD",
        False,
    ),
]


@each_row("terms, ago, status, culled", STATES)
def test_row_and_query_agree_on_the_status(acme, terms, ago, status, culled):
    now = timezone.now()
    machine = make_machine(make_floating(acme.product, **terms), ago=ago, created=now - timedelta(seconds=601))
    process = make_process(machine, ago=ago) if ago else None

    assert machine.status_at(now) == status
    assert list(Machine.objects.dead(now)) == [machine] * (status == "DEAD")
    assert list(Machine.objects.alive(now)) == [machine] * (status != "DEAD")
    assert list(Machine.objects.to_cull(now)) == [machine] * culled
    assert list(Machine.objects.with_seats(now)) == [machine] * (not culled)
    if process:
        assert process.status_at(now) == status
        assert list(Process.objects.dead(now)) == [process] * (status == "DEAD")
        assert list(Process.objects.to_cull(now)) == [process] * culled
        assert list(Process.objects.with_seats(now)) == [process] * (not culled)


class TestPing:
    def test_ping_starts_the_heartbeats_of_a_machine(self, admin, acme):
        machine = make_machine(make_floating(acme.product))

        for path in ("ping", "ping-heartbeat"):
            response = admin.post(f"machines/M/actions/{path}")
            assert response.status_code == 200, response.content
            assert status_of(response) == "ALIVE"
        attributes = response.json()["data"]["attributes"]
        machine.refresh_from_db()
        assert attributes["requireHeartbeat"] is True
        assert machine.next_heartbeat - machine.last_heartbeat == timedelta(seconds=600)

    @each_row(
        "strategy, ago, revived",
        [
            ("NO_REVIVE", 601, False),
            ("1_MINUTE_REVIVE", 650, True),
            ("1_MINUTE_REVIVE", 661, False),
            ("15_MINUTE_REVIVE", 1490, True),
            ("ALWAYS_REVIVE", 90_000, True),
        ],
    )
    def test_resurrection_strategy_decides_whether_a_ping_revives(self, acme, admin, strategy, ago, revived):
        terms = {"heartbeat_resurrection_strategy": strategy, "heartbeat_cull_strategy": "KEEP_DEAD"}
        machine = make_machine(make_floating(acme.product, **terms), ago=ago)
        process = make_process(machine, ago=ago)

        for path, noun in (("machines/M", "machine"), (f"processes/{process.pk}", "process")):
            response = admin.post(f"{path}/actions/ping")
            if revived:
                assert status_of(response) == "RESURRECTED"
                assert status_of(admin.get(path)) == "ALIVE"
            else:
                assert_refused(response, UNPROCESSABLE, dead(noun))
                assert status_of(admin.get(path)) == "DEAD"

    def test_pings_are_not_recorded(self, acme, admin):
        process = make_process(make_machine(make_floating(acme.product)))
        before = Activity.objects.count()

        admin.post("machines/M/actions/ping")
        admin.post(f"processes/{process.pk}/actions/ping")

        assert Activity.objects.count() == before


class TestReset:
    def test_reset_machine_has_not_started(self, acme, admin):
        make_machine(make_floating(acme.product), ago=601)

        response = admin.post("machines/M/actions/reset")

        attributes = response.json()["data"]["attributes"]
        assert attributes["heartbeatStatus"] == "NOT_STARTED"
        assert (attributes["requireHeartbeat"], attributes["lastHeartbeat"]) == (False, None)

    def test_reset_machine_that_must_ping_has_a_whole_duration_again(self, acme, admin):
        license = make_floating(acme.product, require_heartbeat=True)
        make_machine(license, ago=601, created=timezone.now() - timedelta(days=1))

        assert status_of(admin.post("machines/M/actions/reset-heartbeat")) == "NOT_STARTED"
        assert status_of(admin.get("machines/M")) == "NOT_STARTED"
        assert list(Machine.objects.to_cull(timezone.now())) == []


class TestCull:
    def cull(self, capsys):
        call_command("cull_machines", "--json")
        return json.loads(capsys.readouterr().out)

    def test_command_deletes_dead_machines_and_processes(self, acme, capsys):
        license = make_floating(acme.product)
        for number, ago in enumerate((601, 602, 1)):
            make_machine(license, f"M-{number}", ago=ago)
        alive = Machine.objects.get(fingerprint="M-2")
        make_process(alive, "dead", ago=601)
        make_process(alive, "alive")

        assert self.cull(capsys) == {"machines": 2, "processes": 1}
        assert [machine.fingerprint for machine in Machine.objects.all()] == ["M-2"]
        assert [process.pid for process in Process.objects.all()] == ["alive"]
        assert Activity.objects.filter(event="culled", operator="manage.py cull_machines").count() == 2
        assert self.cull(capsys) == {"machines": 0, "processes": 0}

    @pytest.mark.postgresql
    @pytest.mark.django_db(transaction=True)
    def test_machine_that_is_just_pinging_is_not_deleted(self, acme, capsys):
        license = make_floating(acme.product, heartbeat_resurrection_strategy="1_MINUTE_REVIVE")
        machine = make_machine(license, ago=659)

        with Holder(Machine.objects.get(pk=machine.pk).ping) as holder:
            assert self.cull(capsys) == {"machines": 0, "processes": 0}
            holder.let_go(commit=True)
        assert Machine.objects.exists()

    @pytest.mark.postgresql
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "path", ["machines/M/actions/ping", "processes/{}/actions/ping", "machines/M/actions/check-out"]
    )
    def test_ping_or_check_out_during_a_deletion_is_not_found(self, acme, api, path):
        machine = make_machine(make_floating(acme.product), ago=1)
        url = path.format(make_process(machine).pk)

        waited, response = run_while_held(machine.delete, partial(api(acme.admin).post, url))

        assert (waited, response.status_code) == (True, 404)


def test_lists_are_filtered_by_status(acme, admin):
    license = make_floating(acme.product, heartbeat_cull_strategy="KEEP_DEAD")
    machines = {name: make_machine(license, name, ago=ago) for name, ago in (("A", None), ("B", 1), ("C", 601))}
    processes = {name: make_process(machines["B"], name, ago=ago) for name, ago in (("1", 0), ("2", 601))}
    expected = {
        "machines?status=alive": {machines["A"], machines["B"]},
        "machines?status=DEAD": {machines["C"]},
        "machines?status=NOT_STARTED": set(),
        "machines?status=": set(machines.values()),
        "processes?status=Alive": {processes["1"]},
        "machines/B/processes?status=dead": {processes["2"]},
        "machines/B/components?status=dead": set(),
    }

    found = {path: set(ids(admin.get(path))) for path in expected}

    assert found == {path: {str(row.pk) for row in rows} for path, rows in expected.items()}
