"""Limits of machines, components and processes, with many simultaneous requests (contract: machines 3.8).

Exactly as many requests succeed as there are seats, and no other one gets another error than that of the limit.
"""

from collections import Counter
from functools import partial

import pytest
from django.utils import timezone

from accounts.models import Token
from licensing.locks import lock_license
from licensing.models import Component, Machine, Process
from tests.accounts.groups import make_group, one
from tests.cast import make_license, make_policy
from tests.licensing.machines import (
    activation,
    change,
    make_component,
    make_floating,
    make_machine,
    make_process,
    part,
)
from tests.races import race_of, run_while_held

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

LIMITED = pytest.mark.parametrize(("name", "noun"), [("cores", "CORE"), ("memory", "MEMORY"), ("disk", "DISK")])


def race(client, method, requests):
    """Send requests at the same moment, each a path and a document, and count the responses by status and codes."""
    responses = race_of([partial(client.request, method, path, document) for path, document in requests])
    return Counter(outcome_of(response) for response in responses)


def outcome_of(response):
    """The status, and the codes of the errors if there are any."""
    codes = [error["code"] for error in response.json()["errors"]] if response.status_code >= 400 else []
    return (response.status_code, *codes)


def attach(license, user):
    license.license_users.create(account=license.account, user=user)
    return user


def ping(row):
    """Store a heartbeat of a dead machine or process, which was alive when the request with the ping began."""
    type(row).objects.filter(pk=row.pk).update(last_heartbeat=timezone.now())


each_change = pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PATCH", "machines/M-1", lambda owner: change("machines", cores=2)),
        ("PUT", "machines/M-1/owner", partial(one, "users")),
    ],
)


class TestMachines:
    def test_machines_never_exceed_the_limit(self, acme, api):
        license = make_floating(acme.product, max_machines=5)

        outcomes = race(
            api(acme.admin), "POST", [("machines", activation(license, f"M-{number}")) for number in range(32)]
        )

        assert outcomes == {(201,): 5, (422, "MACHINE_LIMIT_EXCEEDED"): 27}
        assert Machine.objects.count() == 5

    def test_machine_that_pings_at_the_moment_of_its_death_keeps_its_seat(self, acme, api):
        license = make_floating(acme.product, max_machines=1)
        machine = make_machine(license, "M-1", ago=3_600)

        work = partial(api(acme.admin).post, "machines", activation(license, "M-2"))
        waited, response = run_while_held(partial(ping, machine), work)

        assert waited
        assert outcome_of(response) == (422, "MACHINE_LIMIT_EXCEEDED")
        assert list(Machine.objects.all()) == [machine]

    @each_change
    def test_machine_that_pings_at_the_moment_of_its_death_keeps_its_cores(self, acme, api, method, path, document):
        """Another one gets more cores, or an owner who has enough."""
        license = make_floating(acme.product, max_cores=4, machine_leasing_strategy="PER_USER")
        owner = attach(license, acme.user())
        dying = make_machine(license, "DYING", ago=3_600, owner=owner, cores=3)
        make_machine(license, "M-1", owner=owner if method == "PATCH" else None, cores=1 if method == "PATCH" else 2)

        work = partial(api(acme.admin).request, method, path, document(owner))
        waited, response = run_while_held(partial(ping, dying), work)

        assert (waited, *outcome_of(response)) == (True, 422, "MACHINE_CORE_LIMIT_EXCEEDED")
        assert license.machines.count() == 2

    def test_machines_of_each_user_never_exceed_the_limit(self, acme, api):
        license = make_floating(acme.product, max_machines=2, machine_leasing_strategy="PER_USER")
        user = attach(license, acme.user())

        outcomes = race(
            api(acme.admin),
            "POST",
            [("machines", activation(license, f"M-{number}", owner=(None, user)[number % 2])) for number in range(8)],
        )

        assert outcomes == {(201,): 4, (422, "MACHINE_LIMIT_EXCEEDED"): 4}
        assert license.machines.filter(owner=user).count() == 2

    @LIMITED
    def test_sum_over_new_machines_never_exceeds_the_limit(self, acme, api, name, noun):
        license = make_floating(acme.product, **{f"max_{name}": 6})

        outcomes = race(
            api(acme.admin),
            "POST",
            [("machines", activation(license, f"M-{number}", **{name: 2})) for number in range(8)],
        )

        assert outcomes == {(201,): 3, (422, f"MACHINE_{noun}_LIMIT_EXCEEDED"): 5}
        assert getattr(license.machines.all().totals(), name) == 6

    @LIMITED
    def test_sum_over_changed_machines_never_exceeds_the_limit(self, acme, api, name, noun):
        license = make_floating(acme.product, **{f"max_{name}": 8})
        for number in range(4):
            make_machine(license, f"M-{number}", **{name: 1})

        outcomes = race(
            api(acme.admin), "PATCH", [(f"machines/M-{number}", change("machines", **{name: 3})) for number in range(4)]
        )

        assert outcomes == {(200,): 2, (422, f"MACHINE_{noun}_LIMIT_EXCEEDED"): 2}
        assert getattr(license.machines.all().totals(), name) == 8

    def test_sum_over_machines_of_a_new_owner_never_exceeds_the_limit(self, acme, api):
        license = make_floating(acme.product, max_cores=4, machine_leasing_strategy="PER_USER")
        owners = [attach(license, acme.user(email=f"{number}@acme.test")) for number in range(4)]
        for number, owner in enumerate(owners):
            make_machine(license, f"M-{number}", owner=owner, cores=2)
        owner = attach(license, acme.user())

        outcomes = race(
            api(acme.admin), "PUT", [(f"machines/M-{number}/owner", one("users", owner)) for number in range(4)]
        )

        assert outcomes == {(200,): 2, (422, "MACHINE_CORE_LIMIT_EXCEEDED"): 2}

    @pytest.mark.parametrize(
        "strategy", ["UNIQUE_PER_LICENSE", "UNIQUE_PER_POLICY", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_ACCOUNT"]
    )
    def test_fingerprint_is_activated_once(self, acme, api, strategy):
        policy = make_policy(acme.product, strategy, floating=True, machine_uniqueness_strategy=strategy)
        licenses = [make_license(policy, f"LICENSE-{strategy}-{number}") for number in range(8)]
        chosen = licenses[:1] * 8 if strategy == "UNIQUE_PER_LICENSE" else licenses

        outcomes = race(api(acme.admin), "POST", [("machines", activation(license, "SAME")) for license in chosen])

        assert outcomes == {(201,): 1, (422, "FINGERPRINT_TAKEN"): 7}

    @pytest.mark.parametrize("strategy", ["UNIQUE_PER_POLICY", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_ACCOUNT"])
    def test_machine_that_pings_at_the_moment_of_its_death_keeps_its_fingerprint(self, acme, api, strategy):
        policy = make_policy(acme.product, floating=True, machine_uniqueness_strategy=strategy)
        dying = make_machine(make_license(policy), "SAME", ago=3_600)

        work = partial(api(acme.admin).post, "machines", activation(make_license(policy), "SAME"))
        waited, response = run_while_held(partial(ping, dying), work)

        assert (waited, *outcome_of(response)) == (True, 422, "FINGERPRINT_TAKEN")
        assert list(Machine.objects.all()) == [dying]


class TestGroups:
    def test_machine_that_is_moved_locks_its_license_first(self, acme, api):
        """An activation holds the license and the group, and may wait for a dead machine."""
        license = make_floating(acme.product)
        make_machine(license)
        group = make_group(acme.account, max_machines=1)

        work = partial(api(acme.admin).put, "machines/M/group", one("groups", group))
        waited, response = run_while_held(partial(lock_license, license), work)

        assert (waited, response.status_code) == (True, 200)

    def test_machines_that_enter_a_group_never_exceed_its_limit(self, acme, api):
        """New ones of several licenses, and others that are moved into it."""
        group = make_group(acme.account, max_machines=3)
        policy = make_policy(acme.product, floating=True)
        licenses = [make_license(policy, group=group) for _ in range(4)]
        for license in licenses:
            make_machine(license, f"OLD-{license.pk}")
        client = api(acme.admin)
        works = [partial(client.post, "machines", activation(license, f"NEW-{license.pk}")) for license in licenses]
        works += [partial(client.put, f"machines/OLD-{license.pk}/group", one("groups", group)) for license in licenses]

        responses = race_of(works)

        outcomes = Counter(outcome_of(response)[1:] for response in responses)
        assert outcomes == {(): 3, ("GROUP_MACHINE_LIMIT_EXCEEDED",): 5}
        assert group.machines.count() == 3


class TestComponents:
    @pytest.mark.parametrize(
        "strategy",
        ["UNIQUE_PER_MACHINE", "UNIQUE_PER_LICENSE", "UNIQUE_PER_POLICY", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_ACCOUNT"],
    )
    def test_component_is_added_once(self, acme, api, strategy):
        """To machines in the range of the strategy, some of which bring it along."""
        policy = make_policy(acme.product, strategy, floating=True, component_uniqueness_strategy=strategy)
        licenses = [make_license(policy) for _ in range(4)]
        if strategy in ("UNIQUE_PER_MACHINE", "UNIQUE_PER_LICENSE"):
            licenses = licenses[:1] * 4
        machines = [make_machine(license, f"M-{number}") for number, license in enumerate(licenses)]
        client = api(acme.admin)
        if strategy == "UNIQUE_PER_MACHINE":
            machines, licenses = machines[:1] * 8, []
        works = [
            partial(client.post, "components", part("components", machine, fingerprint="SAME", name="CPU"))
            for machine in machines
        ]
        works += [
            partial(client.post, "machines", activation(license, f"NEW-{number}", components=["SAME"]))
            for number, license in enumerate(licenses)
        ]

        responses = race_of(works)

        codes = Counter(code.removeprefix("COMPONENTS_") for each in responses for code in outcome_of(each)[1:])
        assert codes == {"FINGERPRINT_TAKEN": 7}
        assert Component.objects.count() == 1

    @pytest.mark.parametrize("is_new", [False, True])
    @pytest.mark.parametrize(
        "strategy", ["UNIQUE_PER_LICENSE", "UNIQUE_PER_POLICY", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_ACCOUNT"]
    )
    def test_machine_that_pings_at_the_moment_of_its_death_keeps_its_components(self, acme, api, strategy, is_new):
        policy = make_policy(acme.product, floating=True, component_uniqueness_strategy=strategy)
        first = make_license(policy)
        license = first if strategy == "UNIQUE_PER_LICENSE" else make_license(policy)
        dying = make_machine(first, "DYING", ago=3_600)
        make_component(dying, "SAME")
        client = api(acme.admin)
        if is_new:
            work = partial(client.post, "machines", activation(license, "NEW", components=["SAME"]))
        else:
            document = part("components", make_machine(license, "OLD"), fingerprint="SAME", name="CPU")
            work = partial(client.post, "components", document)

        waited, response = run_while_held(partial(ping, dying), work)

        codes = [code.removeprefix("COMPONENTS_") for code in outcome_of(response)[1:]]
        assert (waited, codes) == (True, ["FINGERPRINT_TAKEN"])
        assert Component.objects.count() == 1


class TestProcesses:
    @pytest.mark.parametrize("strategy", ["PER_MACHINE", "PER_LICENSE", "PER_USER"])
    def test_processes_never_exceed_the_limit(self, acme, api, strategy):
        license = make_floating(acme.product, max_processes=3, process_leasing_strategy=strategy)
        machines = [make_machine(license, f"M-{number}") for number in range(1 if strategy == "PER_MACHINE" else 4)]

        outcomes = race(
            api(acme.admin),
            "POST",
            [("processes", part("processes", machines[pid % len(machines)], pid=str(pid))) for pid in range(8)],
        )

        assert outcomes == {(201,): 3, (422, "MACHINE_PROCESS_LIMIT_EXCEEDED"): 5}
        assert Process.objects.count() == 3

    @pytest.mark.parametrize("strategy", ["PER_MACHINE", "PER_LICENSE", "PER_USER"])
    def test_process_that_pings_at_the_moment_of_its_death_keeps_its_seat(self, acme, api, strategy):
        license = make_floating(acme.product, max_processes=1, process_leasing_strategy=strategy)
        machine = make_machine(license)
        process = make_process(machine, ago=3_600)

        work = partial(api(acme.admin).post, "processes", part("processes", machine, pid="2"))
        waited, response = run_while_held(partial(ping, process), work)

        assert (waited, *outcome_of(response)) == (True, 422, "MACHINE_PROCESS_LIMIT_EXCEEDED")
        assert list(Process.objects.all()) == [process]

    @pytest.mark.parametrize("strategy", ["PER_LICENSE", "PER_USER"])
    def test_machine_that_pings_at_the_moment_of_its_death_keeps_the_seats_of_its_processes(self, acme, api, strategy):
        license = make_floating(acme.product, max_processes=1, process_leasing_strategy=strategy)
        dying = make_machine(license, "DYING", ago=3_600)
        process = make_process(dying)

        work = partial(api(acme.admin).post, "processes", part("processes", make_machine(license), pid="2"))
        waited, response = run_while_held(partial(ping, dying), work)

        assert (waited, *outcome_of(response)) == (True, 422, "MACHINE_PROCESS_LIMIT_EXCEEDED")
        assert list(Process.objects.all()) == [process]

    def test_process_that_pings_at_the_moment_of_its_death_keeps_its_id(self, acme, api):
        machine = make_machine(make_floating(acme.product))
        process = make_process(machine, pid="SAME", ago=3_600)

        work = partial(api(acme.admin).post, "processes", part("processes", machine, pid="SAME"))
        waited, response = run_while_held(partial(ping, process), work)

        assert (waited, *outcome_of(response)) == (True, 422, "PID_TAKEN")
        assert list(Process.objects.all()) == [process]

    def test_process_id_is_taken_once(self, acme, api):
        machine = make_machine(make_floating(acme.product))
        make_process(machine, pid="SAME", ago=601)

        outcomes = race(api(acme.admin), "POST", [("processes", part("processes", machine, pid="SAME"))] * 6)

        assert outcomes == {(201,): 1, (422, "PID_TAKEN"): 5}


class TestTokens:
    def test_activations_of_a_token_never_exceed_its_limit(self, acme, api):
        license = make_floating(acme.product)
        token, text = Token.generate(license, max_activations=3)

        outcomes = race(api(text), "POST", [("machines", activation(license, f"M-{number}")) for number in range(8)])

        token.refresh_from_db()
        assert outcomes == {(201,): 3, (422, "ACTIVATIONS_LIMIT_EXCEEDED"): 5}
        assert (token.activations, Machine.objects.count()) == (3, 3)

    def test_deactivations_of_a_token_never_exceed_its_limit(self, acme, api):
        license = make_floating(acme.product)
        token, text = Token.generate(license, max_deactivations=3)
        for number in range(8):
            make_machine(license, f"M-{number}")

        outcomes = race(api(text), "DELETE", [(f"machines/M-{number}", None) for number in range(8)])

        token.refresh_from_db()
        assert outcomes == {(204,): 3, (422, "DEACTIVATIONS_LIMIT_EXCEEDED"): 5}
        assert (token.deactivations, Machine.objects.count()) == (3, 5)
