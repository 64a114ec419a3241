"""Limits of machines and processes: overage and leasing (contract: machines 3.6, 9.3)."""

from licensing.models import License, Process
from tests.licensing.machines import activation, make_floating, make_machine, make_process, part
from tests.tables import each_row


def code_of(response):
    """The status, and the codes of the errors."""
    return response.status_code, [error["code"] for error in response.json().get("errors", ())]


class TestLimits:
    @each_row(
        "strategy, allowed",
        [
            ("NO_OVERAGE", 4),
            ("ALLOW_1_25X_OVERAGE", 5),
            ("ALLOW_1_5X_OVERAGE", 6),
            ("ALLOW_2X_OVERAGE", 8),
            ("ALWAYS_ALLOW_OVERAGE", 9),
        ],
    )
    def test_overage_strategy_decides_how_many_machines_are_allowed(self, acme, api, strategy, allowed):
        license = make_floating(acme.product, max_machines=4, overage_strategy=strategy)
        for number in range(allowed - 1):
            make_machine(license, f"M-{number}")

        admin = api(acme.admin)
        assert admin.post("machines", activation(license, "LAST")).status_code == 201
        found = code_of(admin.post("machines", activation(license, "TOO MANY")))
        assert found == ((201, []) if strategy == "ALWAYS_ALLOW_OVERAGE" else (422, ["MACHINE_LIMIT_EXCEEDED"]))

    def test_limit_of_the_license_overrides_the_policys(self, acme, api):
        license = make_floating(acme.product, max_machines=1)
        make_machine(license, "A")
        License.objects.filter(pk=license.pk).update(max_machines=2)

        assert api(acme.admin).post("machines", activation(license, "B")).status_code == 201
        assert code_of(api(acme.admin).post("machines", activation(license, "C"))) == (422, ["MACHINE_LIMIT_EXCEEDED"])

    @each_row("name, code", [("cores", "CORE"), ("memory", "MEMORY"), ("disk", "DISK")])
    def test_sum_over_the_machines_is_limited(self, acme, api, name, code):
        license = make_floating(acme.product, **{f"max_{name}": 4})
        make_machine(license, "A", **{name: 3})
        make_machine(license, "B")

        exceeded = (422, [f"MACHINE_{code}_LIMIT_EXCEEDED"])
        assert code_of(api(acme.admin).post("machines", activation(license, "C", **{name: 2}))) == exceeded
        assert code_of(api(acme.admin).post("machines", activation(license, "C", **{name: 1}))) == (201, [])
        assert code_of(api(acme.admin).post("machines", activation(license, "D"))) == (201, [])

    @each_row("name, largest", [("cores", 2**31 - 1), ("memory", 2**63 - 1), ("disk", 2**63 - 1)])
    def test_sums_do_not_overflow(self, acme, api, name, largest):
        license = make_floating(acme.product, **{f"max_{name}": 4})
        for fingerprint in "ABC":
            make_machine(license, fingerprint, **{name: largest})

        meta = api(acme.admin).get(f"licenses/{license.pk}").json()["data"]["relationships"]["machines"]["meta"]
        assert meta[name] == 3 * largest
        found = code_of(api(acme.admin).post("machines", activation(license, "D", **{name: 1})))
        assert found[1] == [f"MACHINE_{name.upper().removesuffix('S')}_LIMIT_EXCEEDED"]

    def test_each_user_has_a_limit_where_the_policy_leases_per_user(self, acme, api):
        license = make_floating(acme.product, max_machines=1, machine_leasing_strategy="PER_USER")
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        admin = api(acme.admin)

        assert admin.post("machines", activation(license, "A")).status_code == 201
        assert admin.post("machines", activation(license, "B", owner=user)).status_code == 201
        for owner in (None, user):
            response = admin.post("machines", activation(license, "C", owner=owner))
            assert response.json()["errors"][0]["detail"].endswith("for user (1)")

    def test_license_shows_its_machines_with_seats(self, acme, api):
        license = make_floating(acme.product, max_machines=9)
        make_machine(license, "A", cores=2, memory=3)
        make_machine(license, "B", cores=4, disk=5)
        make_machine(license, "DEAD", ago=601, cores=1)

        data = api(acme.admin).get(f"licenses/{license.pk}").json()["data"]

        assert data["relationships"]["machines"]["meta"] == {"cores": 6, "memory": 3, "disk": 5, "count": 2}


class TestProcessLimits:
    @each_row(
        "strategy, noun",
        [("PER_MACHINE", "machine"), ("PER_LICENSE", "license"), ("PER_USER", "user")],
    )
    def test_leasing_strategy_decides_which_processes_share_the_limit(self, acme, api, strategy, noun):
        license = make_floating(acme.product, max_processes=2, process_leasing_strategy=strategy)
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        full, other, owned = (
            make_machine(license, "A"),
            make_machine(license, "B"),
            make_machine(license, "C", owner=user),
        )
        for pid in "12":
            make_process(full, pid)

        admin = api(acme.admin)
        response = admin.post("processes", part("processes", full, pid="3"))
        [error] = response.json()["errors"]
        assert error["code"] == "MACHINE_PROCESS_LIMIT_EXCEEDED"
        assert error["detail"] == f"process count has exceeded maximum allowed for {noun} (2)"
        assert error["source"] == {"pointer": "/data"}
        statuses = [
            admin.post("processes", part("processes", machine, pid="3")).status_code for machine in (other, owned)
        ]
        assert statuses == {"machine": [201, 201], "license": [422, 422], "user": [422, 201]}[noun]

    @each_row("strategy", ["PER_MACHINE", "PER_LICENSE", "PER_USER"])
    def test_processes_of_a_dead_machine_are_limited_too(self, acme, api, strategy):
        """It may be reset, and has them then."""
        license = make_floating(acme.product, max_processes=1, process_leasing_strategy=strategy)
        dead = make_machine(license, ago=601)
        admin = api(acme.admin)

        assert admin.post("processes", part("processes", dead, pid="1")).status_code == 201
        found = code_of(admin.post("processes", part("processes", dead, pid="2")))
        assert found == (422, ["MACHINE_PROCESS_LIMIT_EXCEEDED"])

    def test_dead_process_gives_up_its_seat_and_its_pid(self, acme, api):
        license = make_floating(acme.product, max_processes=1)
        machine = make_machine(license)
        make_process(machine, ago=601)

        assert api(acme.admin).post("processes", part("processes", machine, pid="1")).status_code == 201
        assert Process.objects.count() == 1
