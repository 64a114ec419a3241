"""Look-up and lists of machines, components and processes (contract: machines 4.1, 4.2, 8.3, 9.4)."""

import pytest

from licensing.api.machine_filters import PolicyFilter
from tests.cast import make_license, make_policy
from tests.errors import NOT_FOUND, assert_refused, not_found
from tests.licensing.documents import UNKNOWN, ids
from tests.licensing.machines import make_component, make_floating, make_machine, make_process
from tests.tables import each_row


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


class TestLookUp:
    @each_row(
        "fingerprint, path",
        [
            ("4d:Eq:UV", "4d:Eq:UV"),
            ("with.dots.json", "with.dots.json"),
            ("50%", "50%25"),
            ("line\nbreak", "line%0Abreak"),
            (UNKNOWN, UNKNOWN),
        ],
    )
    def test_machine_is_found_by_its_fingerprint(self, acme, admin, fingerprint, path):
        machine = make_machine(make_floating(acme.product), fingerprint)

        for prefix in ("", f"licenses/{machine.license_id}/", f"products/{acme.product.pk}/"):
            response = admin.request("GET", f"{prefix}machines/{path}")
            assert response.json()["data"]["id"] == str(machine.pk), (prefix, response.content)

    def test_fingerprint_is_compared_exactly(self, acme, admin):
        make_machine(make_floating(acme.product), "Case")

        assert_refused(admin.get("machines/case"), NOT_FOUND, not_found("machine", "case"))

    def test_oldest_of_several_machines_is_found_among_those_that_are_visible(self, acme, api, admin):
        first, second = make_floating(acme.product, "First"), make_floating(acme.product, "Second")
        older, newer = make_machine(first), make_machine(second)

        assert admin.get("machines/M").json()["data"]["id"] == str(older.pk)
        assert api(second).get("machines/M").json()["data"]["id"] == str(newer.pk)

    @each_row("collection, noun", [("components", "machine component"), ("processes", "machine process")])
    def test_parts_are_found_by_id_only(self, admin, collection, noun):
        for name in (UNKNOWN, "1"):
            assert_refused(admin.get(f"{collection}/{name}"), NOT_FOUND, not_found(noun, name))


def test_lists_are_filtered(acme, admin):
    user = acme.user()
    license = make_floating(acme.product)
    license.license_users.create(account=acme.account, user=user)
    other = make_license(make_floating(acme.another_product(), "Other").policy, "OTHER-KEY")
    a = make_machine(license, "A", ip="192.0.2.1", hostname="bob-pc", owner=user, metadata={"desk": 7})
    b = make_machine(other, "B")
    component, process = make_component(a), make_process(a)
    make_component(b)
    make_process(b)
    expected = {
        **dict.fromkeys(["machines?ip=192.0.2.1", "machines?hostname=bob-pc", "machines?fingerprint=A"], a),
        **dict.fromkeys([f"machines?license={license.pk}", f"machines?product={license.product_id}"], a),
        **dict.fromkeys([f"machines?policy={license.policy_id}", f"machines?key={license.key}"], a),
        **dict.fromkeys([f"machines?owner={user.pk}", f"machines?owner={user.email.upper()}"], a),
        **dict.fromkeys([f"machines?user={user.pk}", f"machines?user={user.email}", "machines?metadata[desk]=7"], a),
        **dict.fromkeys(["machines?platform=x&fingerprint=A", f"licenses/{license.pk}/machines"], a),
        **dict.fromkeys([f"users/{user.email}/machines", f"products/{license.product_id}/machines"], a),
        **dict.fromkeys(["machines?fingerprint=a", "machines?license=x", f"machines?group={UNKNOWN}"], None),
        **dict.fromkeys([f"components?machine={a.pk}", f"components?license={license.pk}"], component),
        **dict.fromkeys([f"components?product={license.product_id}", f"components?owner={user.pk}"], component),
        **dict.fromkeys([f"components?user={user.email}", "machines/A/components"], component),
        f"components?owner={user.email}": None,
        **dict.fromkeys([f"processes?machine={a.pk}", "machines/A/processes"], process),
        f"licenses?machine={a.pk}": license,
        "licenses?activations[gte]=1&limit=1&product=" + str(license.product_id): license,
    }

    found = {path: ids(admin.get(path)) for path in expected}

    assert found == {path: [str(row.pk)] if row else [] for path, row in expected.items()}


@each_row("most", [0, 1, 2])
def test_machines_of_a_policy_are_found_by_few_licenses_or_by_the_policy(acme, admin, monkeypatch, most):
    monkeypatch.setattr(PolicyFilter, "MAX_LICENSES", most)
    policy = make_policy(acme.product, floating=True)
    machines = {str(make_machine(make_license(policy)).pk) for _ in range(2)}
    make_machine(make_license(acme.unpooled))

    assert set(ids(admin.get(f"machines?policy={policy.pk}"))) == machines
    assert ids(admin.get(f"machines?policy={acme.policy.pk}")) == []
    assert ids(admin.get("machines?policy=nope")) == []


def test_machines_follow_their_license_to_another_product(acme, admin):
    license, other = make_floating(acme.product), make_floating(acme.another_product(), "Other")
    machine = make_machine(license)
    document = {"data": {"type": "policies", "id": str(other.policy_id)}}

    assert admin.put(f"licenses/{license.pk}/policy", document).status_code == 200

    paths = [f"machines?product={product_id}" for product_id in (license.product_id, other.product_id)]
    assert [ids(admin.get(path)) for path in paths] == [[], [str(machine.pk)]]


def test_licenses_are_filtered_by_whether_they_are_activated(acme, admin):
    license, idle = make_floating(acme.product), make_floating(acme.product, "Idle")
    make_machine(license)

    assert ids(admin.get("licenses?activated=true")) == [str(license.pk)]
    assert ids(admin.get("licenses?activated=false")) == [str(idle.pk)]
    assert ids(admin.get("licenses?activations[eq]=0")) == [str(idle.pk)]


def test_related_resources_are_shown(acme, admin):
    owner = acme.user()
    license = make_floating(acme.product)
    license.owner = owner
    license.save()
    machine = make_machine(license)
    component, process = make_component(machine), make_process(machine)
    expected = {"product": acme.product, "license": license, "machine": machine}

    for path in ("machines/M", f"components/{component.pk}", f"processes/{process.pk}"):
        for name, row in expected.items():
            if name != path.split("/")[0].removesuffix("s"):
                assert admin.get(f"{path}/{name}").json()["data"]["id"] == str(row.pk), (path, name)
    assert admin.get("machines/M/user").json()["data"]["id"] == str(owner.pk)
    assert admin.get("machines/M/owner").json() == {"data": None}
    assert admin.get("machines/M/group").json()["errors"][0]["detail"] == "The requested group was not found"


class TestVersions:
    def test_machine_had_the_user_of_its_license_up_to_version_1_5(self, acme, admin):
        owner = acme.user()
        license = make_floating(acme.product)
        license.owner = owner
        license.save()
        machine = make_machine(license)

        for response in (
            admin.get("machines/M", Keygen_Version="1.5"),
            admin.get("machines", Keygen_Version="1.5"),
            admin.post("machines/M/actions/ping", Keygen_Version="1.5"),
        ):
            data = response.json()["data"]
            relationships = (data[0] if isinstance(data, list) else data)["relationships"]
            assert "owner" not in relationships
            assert relationships["user"] == {
                "links": {"related": f"/v1/accounts/{acme.account.pk}/machines/{machine.pk}/user"},
                "data": {"type": "users", "id": str(owner.pk)},
            }
        response = admin.post("machines/M/actions/reset", Keygen_Version="1.5")
        assert response.json()["data"]["relationships"]["owner"]["data"] is None
