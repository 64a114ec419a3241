"""Is a license with machines valid? (contract: machines 11.2)"""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.errors import BAD, assert_refused, bad_request
from tests.licensing.machines import make_component, make_floating, make_machine, make_process
from tests.tables import each_row

VALID = (True, "is valid", "VALID")
DEAD = (False, "machine heartbeat is dead", "HEARTBEAT_DEAD")
REQUIRED = (False, "machine heartbeat is required", "HEARTBEAT_NOT_STARTED")


def mismatch(required="any", several=False, noun="fingerprint"):
    named = f"one or more {noun}" if several else noun
    plural, code = ("components", "COMPONENTS") if noun == "component" else ("machines", noun.upper())
    detail = f"{named} is not activated (does not match {required} associated {plural})"
    return (False, detail, f"{code}_SCOPE_MISMATCH")


@pytest.fixture
def validate(acme, api):
    """Validate a license with a scope (None: quickly), and return valid, detail and code."""

    def post(license, scope=None):
        path = f"licenses/{license.pk}/actions/validate"
        admin = api(acme.admin)
        response = admin.get(path) if scope is None else admin.post(path, {"meta": {"scope": scope}})
        assert response.status_code == 200, response.content
        meta = response.json()["meta"]
        return meta["valid"], meta["detail"], meta["code"]

    return post


@each_row("name", ["fingerprints", "components", "entitlements"])
def test_lists_in_a_scope_are_limited(acme, api, name):
    """The database compares with each item, and takes a limited number of parameters."""
    license = make_floating(acme.product)
    make_machine(license)

    def validate(count):
        scope = {"fingerprint": "M", name: [str(number) for number in range(count)]}
        return api().post("licenses/actions/validate-key", {"meta": {"key": license.key, "scope": scope}})

    assert validate(1_000).status_code == 200
    detail = "length must be between 1 and 1000 (inclusive)"
    assert_refused(validate(1_001), BAD, bad_request(detail, f"/meta/scope/{name}"))


class TestFingerprints:
    # Machines A and B are alive, DEAD is dead.
    @each_row(
        "strategy, fingerprints, verdict",
        [
            ("MATCH_ALL", ["A"], VALID),
            ("MATCH_TWO", ["A"], VALID),
            ("MATCH_ALL", ["X"], mismatch()),
            ("MATCH_ALL", ["DEAD"], DEAD),
            ("MATCH_ANY", ["A", "X"], VALID),
            ("MATCH_ANY", ["X", "Y"], mismatch(several=True)),
            ("MATCH_ANY", ["X", "DEAD"], mismatch(several=True)),
            ("MATCH_TWO", ["A", "B", "X"], VALID),
            ("MATCH_TWO", ["A", "X", "Y"], mismatch("at least 2", several=True)),
            ("MATCH_MOST", ["A", "X"], VALID),
            ("MATCH_MOST", ["A", "X", "DEAD"], mismatch("enough", several=True)),
            ("MATCH_ALL", ["A", "B", "A"], VALID),
            ("MATCH_ALL", ["A", "B", "DEAD"], mismatch("all", several=True)),
            ("MATCH_ANY", [], (False, "fingerprint scope is empty", "FINGERPRINT_SCOPE_EMPTY")),
        ],
    )
    def test_matching_strategy_decides(self, acme, validate, strategy, fingerprints, verdict):
        license = make_floating(
            acme.product, machine_matching_strategy=strategy, heartbeat_cull_strategy="KEEP_DEAD", strict=True
        )
        make_machine(license, "A", ago=1)
        make_machine(license, "B")
        make_machine(license, "DEAD", ago=601)

        assert validate(license, {"fingerprints": fingerprints}) == verdict

    def test_single_fingerprint_takes_precedence(self, acme, validate):
        license = make_floating(acme.product)
        make_machine(license, "A")

        assert validate(license, {"fingerprint": "A", "fingerprints": ["X"]}) == VALID
        assert validate(license, {"fingerprint": "X", "fingerprints": ["A"]}) == mismatch()

    @each_row("floating, noun", [(True, "machines"), (False, "machine")])
    def test_license_without_machines_says_so(self, acme, validate, floating, noun):
        license = make_floating(acme.product, floating=floating)

        code = "NO_MACHINES" if floating else "NO_MACHINE"
        for name, value in (("fingerprint", "A"), ("machine", str(license.pk))):
            verdict = (False, f"{name} is not activated (has no associated {noun})", code)
            assert validate(license, {name: value}) == verdict

    def test_required_heartbeat_must_have_started(self, acme, validate):
        license = make_floating(acme.product, require_heartbeat=True)
        machine = make_machine(license, "A")

        assert validate(license, {"fingerprint": "A"}) == REQUIRED
        assert validate(license, {"machine": str(machine.pk)}) == REQUIRED


class TestMachine:
    def test_machine_is_named_by_its_id(self, acme, validate):
        license = make_floating(acme.product)
        machine, dead = make_machine(license, "A"), make_machine(license, "B", ago=601)
        other = make_machine(make_floating(acme.product, "Other"), "C")

        assert validate(license, {"machine": str(machine.pk)}) == VALID
        assert validate(license, {"machine": str(dead.pk)}) == DEAD
        for name in ("A", str(other.pk)):
            assert validate(license, {"machine": name}) == mismatch(noun="machine")

    def test_machine_belongs_to_the_user_of_the_scope(self, acme, validate):
        license = make_floating(acme.product)
        ann, bob = acme.user(email="ann@acme.test"), acme.user(email="bob@acme.test")
        for user in (ann, bob):
            license.license_users.create(account=acme.account, user=user)
        owned, free = make_machine(license, "A", owner=ann), make_machine(license, "B")
        detail = "user scope does not match (does not match associated machine owner{})"

        for user in (str(ann.pk), "ANN@acme.test"):
            assert validate(license, {"fingerprint": "A", "user": user}) == VALID
        for user in (str(bob.pk), bob.email):
            verdict = (False, detail.format("s"), "USER_SCOPE_MISMATCH")
            assert validate(license, {"fingerprint": "A", "user": user}) == verdict
            verdict = (False, detail.format(""), "USER_SCOPE_MISMATCH")
            assert validate(license, {"machine": str(owned.pk), "user": user}) == verdict
            assert validate(license, {"machine": str(free.pk), "user": user}) == VALID


class TestComponents:
    @each_row(
        "strategy, components, verdict",
        [
            ("MATCH_ANY", ["C1", "X"], VALID),
            ("MATCH_ANY", ["X"], mismatch("any", True, "component")),
            ("MATCH_TWO", ["C1"], mismatch("at least 2", True, "component")),
            ("MATCH_TWO", ["C1", "C2"], VALID),
            ("MATCH_MOST", ["C1", "X"], VALID),
            ("MATCH_MOST", ["C1", "X", "Y"], mismatch("enough", True, "component")),
            ("MATCH_ALL", ["C1", "C2", "C1"], VALID),
            ("MATCH_ALL", ["C1", "OTHER"], mismatch("all", True, "component")),
            ("MATCH_ALL", [], (False, "components scope is empty", "COMPONENTS_SCOPE_EMPTY")),
        ],
    )
    def test_matching_strategy_decides(self, acme, validate, strategy, components, verdict):
        license = make_floating(acme.product, component_matching_strategy=strategy)
        machine = make_machine(license, "A")
        for fingerprint in ("C1", "C2"):
            make_component(machine, fingerprint)
        make_component(make_machine(license, "B"), "OTHER")

        assert validate(license, {"fingerprint": "A", "components": components}) == verdict

    def test_components_need_a_single_fingerprint(self, acme, validate):
        license = make_floating(acme.product)
        make_machine(license, "A")

        for scope in ({}, {"fingerprints": ["A"]}):
            detail = "fingerprint scope is required when using the components scope"
            verdict = (False, detail, "FINGERPRINT_SCOPE_REQUIRED")
            assert validate(license, {**scope, "components": ["C"]}) == verdict


class TestLimits:
    @each_row(
        "terms, verdict",
        [
            ({}, VALID),
            ({"max_machines": 2}, VALID),
            ({"max_machines": 1}, (False, "has too many associated machines", "TOO_MANY_MACHINES")),
            ({"max_cores": 7}, (False, "has too many associated machine cores", "TOO_MANY_CORES")),
            ({"max_memory": 7}, (False, "has too much associated machine memory", "TOO_MUCH_MEMORY")),
            ({"max_disk": 7}, (False, "has too much associated machine disk", "TOO_MUCH_DISK")),
            (
                {"max_processes": 1, "process_leasing_strategy": "PER_LICENSE"},
                (False, "has too many associated processes", "TOO_MANY_PROCESSES"),
            ),
            ({"max_processes": 1}, VALID),
            (
                {"max_machines": 1, "overage_strategy": "ALLOW_2X_OVERAGE"},
                (True, "has too many associated machines", "TOO_MANY_MACHINES"),
            ),
        ],
    )
    def test_strict_policy_looks_at_limits(self, acme, validate, terms, verdict):
        loose = make_floating(acme.product, "Loose", **terms)
        strict = make_floating(acme.product, strict=True, **terms)
        for license in (loose, strict):
            for fingerprint in "AB":
                machine = make_machine(license, fingerprint, cores=4, memory=4, disk=4)
            make_process(machine, "1")
            make_process(machine, "2")

        for scope in (None, {}):
            assert validate(strict, scope) == verdict
            assert validate(loose, scope) == VALID

    def test_process_limit_of_a_machine_needs_its_scope(self, acme, validate):
        license = make_floating(acme.product, strict=True, max_processes=1)
        machine = make_machine(license, "A")
        make_process(machine, "1")
        make_process(machine, "2")

        for scope in ({"fingerprint": "A"}, {"fingerprints": ["A", "X"]}, {"machine": str(machine.pk)}):
            assert validate(license, scope)[2] == "TOO_MANY_PROCESSES"
        assert validate(license, {}) == VALID

    def test_dead_machine_without_a_seat_does_not_count(self, acme, validate):
        license = make_floating(acme.product, strict=True, max_machines=1)
        make_machine(license, "A")
        make_machine(license, "DEAD", ago=601)

        assert validate(license, {}) == VALID

    def test_each_user_has_limits_where_the_policy_leases_per_user(self, acme, validate):
        license = make_floating(acme.product, strict=True, max_machines=1, machine_leasing_strategy="PER_USER")
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        make_machine(license, "A", owner=user)
        make_machine(license, "B", owner=user)

        assert validate(license, {}) == VALID
        assert validate(license, {"user": user.email})[2] == "TOO_MANY_MACHINES"

    def test_allowed_overage_does_not_make_an_expired_license_valid(self, acme, validate):
        license = make_floating(acme.product, strict=True, max_machines=1, overage_strategy="ALWAYS_ALLOW_OVERAGE")
        make_machine(license, "A")
        make_machine(license, "B")
        license.expiry = timezone.now() - timedelta(days=1)
        license.save()

        assert validate(license, {}) == (False, "is expired", "EXPIRED")
