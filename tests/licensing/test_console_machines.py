"""Machines in the console: on the page of their license, in a list, and on pages of their own."""

import re

import pytest
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Activity
from licensing.admin.license_limits import describe_limits
from licensing.models import License, Machine
from tests.accounts.groups import make_group
from tests.cast import make_license, make_policy
from tests.console import GROUPS, act, page, signed_in, staff, superuser
from tests.licensing.entitlements import make_entitlement
from tests.licensing.machines import make_component, make_floating, make_machine, make_process
from tests.tables import each_row

TERMS = {"floating": True, "require_heartbeat": True}


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


@pytest.fixture
def license(acme):
    return make_floating(acme.product, max_machines=3)


def text_of(response):
    """The text of a page, without tags and with single blanks."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def rows_of(response):
    return list(response.context["cl"].result_list)


def notices(client, response):
    return [str(message) for message in client.get(response["Location"]).context["messages"]]


class TestOnTheLicense:
    def test_page_of_a_license_shows_its_machines(self, acme, client, license):
        ann = acme.user("user", first_name="Ann", last_name="Lee")
        hardware = {"cores": 8, "memory": 16 * 2**30, "disk": 2**40, "platform": "macOS 15"}
        machine = make_machine(license, "AA:BB", ago=30, name="Studio", owner=ann, **hardware)
        make_component(machine)
        for number in range(2):
            make_process(machine, str(number))
        make_machine(license, "0123456789-0123456789-0123456789")

        text = text_of(client.get(page("licensing_license_change", license.pk)))

        assert "2 of 3 machines limit of the policy Floating" in text
        for shown in ("Studio", "macOS 15", "user@acme.test", "Alive", "8 cores", "16.0", "1.0"):
            assert shown in text, shown
        assert "0123456789-01234…" in text
        assert "disk 1 component, 2 processes Reset heartbeat Deactivate" in text

    def test_page_of_a_license_without_machines_says_its_limit(self, acme, client):
        text = text_of(client.get(page("licensing_license_change", make_license(acme.unpooled).pk)))

        assert "0 of 1 machine limit of" in text

    def test_page_shows_the_newest_machines_and_leads_to_the_others(self, client, license, monkeypatch):
        monkeypatch.setattr("licensing.admin.license_machines.MAX_SHOWN_MACHINES", 2)
        machines = [make_machine(license, f"M{number}") for number in range(3)]

        response = client.get(page("licensing_license_change", license.pk))

        assert [row["machine"] for row in response.context["machines"]] == machines[:0:-1]
        everything = client.get(page("licensing_machine_changelist", license=license.pk))
        assert response.context["machines_url"] in response.content.decode()
        assert rows_of(everything) == machines[::-1]

    def test_page_costs_no_more_statements_with_many_machines(self, client, license, django_assert_num_queries):
        counts = []
        for number in (1, 30):
            for _ in range(number):
                make_component(make_machine(license, f"M{License.objects.count()}-{Machine.objects.count()}", ago=5))
            for address in (
                page("licensing_license_change", license.pk),
                page("licensing_machine_changelist", license=license.pk),
            ):
                with django_assert_num_queries(60, exact=False) as statements:
                    client.get(address)
                counts.append(len(statements))

        assert counts[:2] == counts[2:]


LIMITS = [
    # terms of the policy, limits of the license, cores and memory of the machines; the line of the limit
    ({"floating": True}, {}, [{}], ("1 machine", False, False, "")),
    ({"floating": True, "max_machines": 3}, {}, [{}, {}], ("2 of 3 machines", False, True, "")),
    ({"floating": True, "max_machines": 3}, {"max_machines": 5}, [{}], ("1 of 5 machines", True, True, "")),
    ({"floating": True, "max_machines": 3}, {"max_machines": 0}, [], ("0 of 3 machines", False, True, "")),
    ({"max_machines": 1}, {}, [{}], ("1 of 1 machine", False, True, "")),
    (
        {"floating": True, "max_machines": 2, "overage_strategy": "ALLOW_1_5X_OVERAGE"},
        {},
        [{}, {}, {}],
        ("3 of 2 machines", False, True, "up to 3 are allowed"),
    ),
    (
        {"floating": True, "max_machines": 2, "overage_strategy": "ALWAYS_ALLOW_OVERAGE"},
        {},
        [],
        ("0 of 2 machines", False, True, "more are allowed"),
    ),
    (
        {"floating": True, "max_machines": 2, "machine_leasing_strategy": "PER_USER"},
        {},
        [{}],
        ("1 machine, at most 2 for each user", False, True, ""),
    ),
    (
        {"floating": True, "max_cores": 16},
        {"max_cores": 32},
        [{"cores": 8}, {"cores": 4}],
        ("12 of 32 CPU cores", True, True, ""),
    ),
    (
        {"floating": True, "max_memory": 64 * 2**30},
        {},
        [{"memory": 16 * 2**30}],
        ("16 GB of 64 GB of memory", False, True, ""),
    ),
    ({"floating": True, "max_disk": 2**40}, {}, [], ("0 of 1 TB of disk space", False, True, "")),
    ({"floating": True, "max_processes": 1}, {}, [], ("At most 1 process on each machine", False, True, "")),
    (
        {"floating": True, "process_leasing_strategy": "PER_LICENSE"},
        {"max_processes": 5},
        [],
        ("At most 5 processes on all machines together", True, True, ""),
    ),
]


@each_row(("terms", "own", "machines", "expected"), LIMITS)
def test_limits_are_told_with_where_they_come_from(acme, terms, own, machines, expected):
    license = make_license(make_policy(acme.product, "Terms", **terms), **own)
    for number, values in enumerate(machines):
        make_machine(license, f"M{number}", **values)

    lines = [(line.text, line.is_own, line.has_limit, line.overage) for line in describe_limits(license)]

    assert lines[-1] == expected


def test_dead_machine_that_gave_up_its_place_is_shown_and_not_counted(acme, client):
    license = make_floating(acme.product, max_machines=2)
    make_machine(license, "DEAD", ago=3_600, name="Old")
    make_machine(license, "ALIVE", ago=1, name="New")

    text = text_of(client.get(page("licensing_license_change", license.pk)))

    assert "1 of 2 machines" in text
    assert re.search(r"Old .* Dead", text)


STATES = [
    # terms, seconds since the last heartbeat; badge, words
    ({}, None, "No heartbeats", "It has sent no heartbeats, and need not."),
    ({"require_heartbeat": True}, None, "Waiting for heartbeat", "It has sent no heartbeat yet, and is dead without"),
    ({}, 30, "Alive", "It is dead without another one by"),
    ({}, 3_600, "Dead", "It counts for no limit any more, and is deleted soon."),
    ({"heartbeat_cull_strategy": "KEEP_DEAD"}, 3_600, "Dead", "It stays activated, and counts for the limits"),
    ({"heartbeat_resurrection_strategy": "15_MINUTE_REVIVE"}, 700, "Dead", "A heartbeat revives it."),
    ({"heartbeat_duration": 7_200}, 3_600, "Alive", "It is dead without another one by"),
]


@each_row(("terms", "ago", "badge", "words"), STATES)
def test_heartbeats_are_told_in_words(acme, client, terms, ago, badge, words):
    machine = make_machine(make_floating(acme.product, **terms), ago=ago)

    text = text_of(client.get(page("licensing_machine_change", machine.pk)))

    assert f"{badge} " in text
    assert words in text


def test_page_of_a_machine_shows_its_parts(acme, client, license):
    machine = make_machine(license, "AA:BB", ago=5, name="Studio", hostname="studio.local", ip="192.0.2.7", cores=4)
    make_component(machine, "MAINBOARD-1")
    make_process(machine, "4711")
    make_process(machine, "4712", ago=3_600)

    text = text_of(client.get(page("licensing_machine_change", machine.pk)))

    for shown in ("Studio", "AA:BB", "studio.local", "192.0.2.7", "4 cores", "MAINBOARD-1", "4711 Alive", "4712 Dead"):
        assert shown in text, shown


class TestActions:
    def test_deactivation_frees_the_place_and_is_recorded(self, acme, client, license):
        machine = make_machine(license, name="Studio")
        make_process(machine)

        asked = text_of(client.get(page("licensing_machine_deactivate", id=machine.pk)))
        response = act(client, "licensing_machine_deactivate", machine)

        assert "Another machine may take its place." in asked
        assert not Machine.objects.exists()
        assert response["Location"] == page("licensing_license_change", license.pk)
        assert notices(client, response) == ["Deactivated: Studio."]
        entry = Activity.objects.get(noun="machine")
        assert (entry.event, entry.name, entry.operator) == ("deleted", "Studio", "ann@acme.test")

    def test_reset_revives_a_dead_machine_and_is_recorded(self, acme, client):
        machine = make_machine(make_floating(acme.product, **TERMS), ago=3_600, name="Studio")

        response = act(client, "licensing_machine_reset-heartbeat", machine)

        machine.refresh_from_db()
        assert (machine.last_heartbeat, machine.status_at(timezone.now())) == (None, "NOT_STARTED")
        assert notices(client, response) == ["Heartbeat of Studio reset."]
        assert Activity.objects.get(noun="machine").event == "heartbeat-reset"

    def test_reset_is_offered_only_where_heartbeats_count(self, client, license):
        machine = make_machine(license)

        offered = client.get(page("licensing_machine_change", machine.pk)).context["action_links"]

        assert [action.label for action, _ in offered] == ["Deactivate"]

    def test_machine_is_moved_to_a_group_with_room(self, acme, client, license):
        first, second = make_machine(license, "1", name="One"), make_machine(license, "2", name="Two")
        group = make_group(acme.account, max_machines=1)

        moved = act(client, "licensing_machine_group", first, group=group.pk)
        refused = act(client, "licensing_machine_group", second, group=group.pk)

        assert moved.status_code == 302
        assert list(group.machines.all()) == [first]
        assert "Two cannot enter Hospital: its limit is 1 machine" in refused.content.decode()

    def test_many_machines_are_deactivated_together(self, client, license):
        machines = [make_machine(license, str(number)) for number in range(3)]

        response = act(client, "licensing_machine_deactivate", *machines)

        assert notices(client, response) == ["3 machines deactivated."]


class TestList:
    def test_list_shows_the_machines_of_the_account(self, acme, rival, client, license):
        machine = make_machine(license, name="Studio")
        make_machine(make_floating(rival.product, "Theirs"))

        assert rows_of(client.get(page("licensing_machine_changelist"))) == [machine]
        assert len(rows_of(signed_in(superuser()).get(page("licensing_machine_changelist")))) == 2

    @each_row(("status", "names"), [("ALIVE", ["Alive"]), ("DEAD", ["Dead"]), ("NOT_STARTED", ["Quiet"])])
    def test_machines_of_a_license_are_filtered_by_heartbeat(self, client, license, status, names):
        make_machine(license, "1", name="Alive", ago=1)
        make_machine(license, "2", name="Dead", ago=3_600)
        make_machine(license, "3", name="Quiet")

        rows = rows_of(client.get(page("licensing_machine_changelist", license=license.pk, heartbeat=status)))

        assert [machine.name for machine in rows] == names

    def test_license_of_another_account_filters_nothing(self, rival, client):
        theirs = make_floating(rival.product)

        response = client.get(page("licensing_machine_changelist", license=theirs.pk))

        assert response["Location"] == f"{page('licensing_machine_changelist')}?e=1"

    @each_row("text", ["Studio", "studio", "AA:BB:CC", "bb:cc", "mac-7.local", None])
    def test_machines_are_found(self, client, license, text):
        machine = make_machine(license, "AA:BB:CC", name="Studio Mac", hostname="mac-7.local")
        make_machine(license, "DD:EE")

        assert rows_of(client.get(page("licensing_machine_changelist"), {"q": text or machine.pk})) == [machine]

    def test_file_has_the_columns_of_the_list(self, client, license):
        machine = make_machine(license, name="Studio", platform="Linux", cores=4)

        text = b"".join(client.post(page("licensing_machine_csv"))).decode()

        assert str(machine.pk) in text
        assert {"Studio", "Linux", "4 cores"} <= set(re.split(r"[,\r\n]", text))


@each_row("name", GROUPS)
def test_each_role_sees_machines_and_only_some_change_them(acme, license, name):
    machine = make_machine(license, ago=1)
    client = signed_in(staff(acme, name))
    may = name != "Auditor"

    response = client.get(page("licensing_license_change", license.pk))

    assert response.context["may_act_on_machines"] == may
    assert client.get(page("licensing_machine_changelist")).status_code == 200
    assert client.get(page("licensing_machine_change", machine.pk)).status_code == 200
    assert act(client, "licensing_machine_group", machine).status_code == (302 if name == "Operator" else 403)
    assert act(client, "licensing_machine_reset-heartbeat", machine).status_code == (302 if may else 403)
    assert act(client, "licensing_machine_deactivate", machine).status_code == (302 if may else 403)


def test_without_the_permission_a_license_shows_no_machines(acme, license):
    make_machine(license, name="Studio")
    person = staff(acme)
    role = person.groups.get()
    role.permissions.remove(*role.permissions.filter(content_type__model="machine"))
    client = signed_in(person)

    shown = client.get(page("licensing_license_change", license.pk))

    assert shown.status_code == 200
    assert "Studio" not in shown.content.decode()
    assert client.get(page("licensing_machine_changelist")).status_code == 403


def test_activity_names_machines_entitlements_and_groups_with_links(acme, client, license):
    machine = make_machine(license, "AA:BB", ago=1)
    group, entitlement = make_group(acme.account), make_entitlement(acme.account)
    act(client, "licensing_machine_group", machine, group=group.pk)
    act(client, "accounts_group_remove", make_group(acme.account, "Old"))
    act(client, "licensing_machine_deactivate", make_machine(license, "GONE"))
    for row in (group, entitlement):
        Activity.objects.record(Activity.Event.CREATED, row, AuditContext())

    text = client.get(page("activity")).content.decode()

    for name, row in (
        ("licensing_machine", machine),
        ("accounts_group", group),
        ("licensing_entitlement", entitlement),
    ):
        assert f'href="{page(f"{name}_change", row.pk)}"' in text
    said = text_of(client.get(page("activity")))
    for shown in ("changed the group of machine AA:BB to Hospital", "deleted group Old", "deleted machine GONE"):
        assert shown in said
    licenses = text_of(client.get(page("activity", kind="licenses")))
    assert "deleted machine GONE" in licenses
    assert "deleted group Old" not in licenses
