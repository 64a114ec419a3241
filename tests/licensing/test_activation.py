"""Activation and deactivation of machines (contract: machines 3, 4)."""

import pytest

from accounts.models import Activity, Token
from licensing.models import Component, License, Machine
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, UNPROCESSABLE, assert_refused, bad_request, forbidden, unprocessable
from tests.licensing.documents import UNKNOWN
from tests.licensing.licenses import shown
from tests.licensing.machines import (
    FINGERPRINT,
    FULL,
    TAKEN,
    activation,
    change,
    exceeded,
    make_floating,
    make_machine,
    refused,
)
from tests.tables import each_row


@pytest.fixture
def license(acme):
    return make_floating(acme.product)


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


class TestActivation:
    def test_machine_is_shown_as_the_contract_says(self, acme, admin, license):
        response = admin.post("machines", activation(license, cores=8, hostname="bob-pc", metadata={"a": 1}))

        machine = Machine.objects.get()
        account = f"/v1/accounts/{acme.account.pk}"
        path = f"{account}/machines/{machine.pk}"
        assert response.status_code == 201, response.content
        assert response["Location"] == f"http://testserver{path}"
        assert list(response.json()["data"]["attributes"].items()) == [
            *{"fingerprint": "M", "cores": 8, "memory": None, "disk": None, "ip": None}.items(),
            *{"hostname": "bob-pc", "platform": None, "name": None, "requireHeartbeat": False}.items(),
            *{"heartbeatStatus": "NOT_STARTED", "heartbeatDuration": 600, "maxProcesses": None}.items(),
            *{"lastCheckOut": None, "lastHeartbeat": None, "nextHeartbeat": None, "metadata": {"a": 1}}.items(),
            *{"created": shown(machine.created), "updated": shown(machine.created)}.items(),
        ]
        assert list(response.json()["data"]["relationships"]) == [
            *("account", "product", "group", "license", "owner", "components", "processes")
        ]
        assert response.json()["data"]["relationships"]["product"]["data"]["id"] == str(acme.product.pk)
        assert response.json()["data"]["relationships"]["components"] == {"links": {"related": f"{path}/components"}}
        assert admin.get("machines/M").json() == response.json()
        assert Activity.objects.filter(event="created", noun="machine", object_id=machine.pk).exists()

    def test_second_activation_is_refused_as_taken_before_the_limit(self, acme, admin):
        license = make_license(acme.unpooled)
        make_machine(license)

        response = admin.post("machines", activation(license))

        assert_refused(response, UNPROCESSABLE, TAKEN, FULL)

    @each_row(
        "strategy, noun",
        [("UNIQUE_PER_POLICY", "policy"), ("UNIQUE_PER_PRODUCT", "product"), ("UNIQUE_PER_ACCOUNT", "account")],
    )
    def test_fingerprint_is_unique_in_the_range_of_the_policy(self, acme, admin, strategy, noun):
        license = make_floating(acme.product, machine_uniqueness_strategy=strategy)
        other = make_license(license.policy, "ANOTHER-KEY")
        outside = make_floating(acme.another_product(), "Outside")
        make_machine(other)
        make_machine(outside, "N")

        response = admin.post("machines", activation(license))

        detail = f"has already been taken for this {noun}"
        assert_refused(response, UNPROCESSABLE, refused(detail, "FINGERPRINT_TAKEN", FINGERPRINT))
        assert admin.post("machines", activation(license, "N")).status_code == (422 if noun == "account" else 201)

    @each_row(
        "attributes, errors",
        [
            ({"fingerprint": "actions"}, [("is reserved", "FINGERPRINT_NOT_ALLOWED", "fingerprint")]),
            (
                {"fingerprint": "f" * 4097},
                [("is too long (maximum is 4096 characters)", "FINGERPRINT_TOO_LONG", "fingerprint")],
            ),
            ({"cores": 0}, [("must be greater than or equal to 1", "CORES_INVALID", "cores")]),
            ({"cores": 2**31}, [("must be less than or equal to 2147483647", "CORES_INVALID", "cores")]),
            (
                {"memory": 2**63, "name": "n" * 256},
                [
                    ("must be less than or equal to 9223372036854775807", "MEMORY_INVALID", "memory"),
                    ("is too long (maximum is 255 characters)", "NAME_TOO_LONG", "name"),
                ],
            ),
        ],
    )
    def test_invalid_values_are_refused(self, admin, license, attributes, errors):
        response = admin.post("machines", activation(license, **attributes))

        found = [refused(detail, code, f"/data/attributes/{name}") for detail, code, name in errors]
        assert_refused(response, UNPROCESSABLE, *found)

    def test_missing_license_policy_and_owner_are_reported_together(self, admin):
        response = admin.post("machines", activation(UNKNOWN, owner=UNKNOWN))

        names = ["license", "policy", "owner"]
        found = [refused("must exist", f"{name.upper()}_NOT_FOUND", f"/data/relationships/{name}") for name in names]
        assert_refused(response, UNPROCESSABLE, *found)

    def test_id_of_the_client_must_not_be_ambiguous(self, acme, admin, license):
        machine = make_machine(license)
        named = make_machine(license, UNKNOWN)

        for id in (str(machine.pk), UNKNOWN):
            document = activation(license, "N")
            document["data"]["id"] = id
            errors = admin.post("machines", document).json()["errors"]
            assert [(error["code"], error["source"]) for error in errors] == [("ID_CONFLICT", {"pointer": "/data/id"})]
        response = admin.post("machines", activation(license, str(named.pk)))
        detail = "must not conflict with another machine's identifier (UUID)"
        assert_refused(response, UNPROCESSABLE, refused(detail, "FINGERPRINT_CONFLICT", FINGERPRINT))

    def test_owner_must_be_a_user_of_the_license(self, acme, admin, license):
        user = acme.user()
        document = activation(license, owner=user)

        response = admin.post("machines", document)

        detail = "must be a valid license user"
        assert_refused(response, UNPROCESSABLE, refused(detail, "OWNER_INVALID", "/data/relationships/owner"))
        license.license_users.create(account=acme.account, user=user)
        assert admin.post("machines", document).status_code == 201
        assert Machine.objects.get().owner == user

    def test_first_activation_starts_the_duration(self, acme, admin):
        license = make_floating(acme.product, duration=86400, expiration_basis="FROM_FIRST_ACTIVATION")
        updated = license.updated

        admin.post("machines", activation(license))

        license = License.objects.get(pk=license.pk)
        assert (license.expiry - Machine.objects.get().created).days == 1
        assert license.updated == updated
        admin.post("machines", activation(license, "N"))
        assert License.objects.get(pk=license.pk).expiry == license.expiry

    def test_dead_machine_gives_up_its_seat_and_its_fingerprint(self, acme, admin):
        license = make_license(make_policy(acme.product, protected=False))
        dead = make_machine(license, ago=601)

        response = admin.post("machines", activation(license))

        assert response.status_code == 201, response.content
        assert Machine.objects.get().pk != dead.pk
        assert Activity.objects.filter(event="culled", object_id=dead.pk).count() == 1

    def test_dead_machine_that_is_kept_keeps_its_seat(self, acme, admin):
        license = make_license(make_policy(acme.product, heartbeat_cull_strategy="KEEP_DEAD"))
        make_machine(license, ago=601)

        assert_refused(admin.post("machines", activation(license, "N")), UNPROCESSABLE, FULL)


class TestComponents:
    def test_components_are_created_with_the_machine(self, admin, license):
        response = admin.post("machines", activation(license, components=["C1", "C2"]))

        assert response.status_code == 201, response.content
        listed = admin.get("machines/M/components").json()["data"]
        assert [each["attributes"]["fingerprint"] for each in listed] == ["C2", "C1"]

    def test_duplicates_are_refused_and_nothing_is_created(self, admin, license):
        response = admin.post("machines", activation(license, "actions", components=["C", "D", "C"]))

        errors = response.json()["errors"]
        path = "/data/relationships/components/data/{}/attributes/fingerprint"
        assert [(error["code"], error["detail"], error["source"]["pointer"]) for error in errors] == [
            ("COMPONENTS_FINGERPRINT_CONFLICT", "is duplicated", path.format(0)),
            ("COMPONENTS_FINGERPRINT_CONFLICT", "is duplicated", path.format(2)),
            ("FINGERPRINT_NOT_ALLOWED", "is reserved", FINGERPRINT),
        ]
        assert errors[0]["links"]["about"].endswith("/machines/#machines-object-relationships-components")
        assert not Machine.objects.exists()
        assert not Component.objects.exists()

    def test_more_than_twenty_are_refused_before_permissions(self, acme, api, license):
        document = activation(license, components=[f"C{number}" for number in range(21)])

        response = api(acme.bearer("read-only")).post("machines", document)

        assert_refused(response, UNPROCESSABLE, {"title": "Unprocessable entity", "detail": "too many records"})


class TestTokens:
    def test_activations_and_deactivations_of_a_token_are_counted(self, acme, api, license):
        token, text = Token.generate(license, max_activations=1, max_deactivations=0)
        speaker = api(text)

        assert speaker.post("machines", activation(license, "A")).status_code == 201
        response = speaker.post("machines", activation(license, "B"))
        path = "/data/attributes/activations"
        expected = unprocessable("tokens", "exceeds maximum allowed (1)", "ACTIVATIONS_LIMIT_EXCEEDED", path)
        assert_refused(response, UNPROCESSABLE, expected)
        assert speaker.post("machines", activation(license, "A")).json()["errors"] == [TAKEN]
        assert speaker.delete("machines/A").json()["errors"][0]["code"] == "DEACTIVATIONS_LIMIT_EXCEEDED"
        token.refresh_from_db()
        assert (token.activations, token.deactivations) == (1, 0)
        assert [machine.fingerprint for machine in Machine.objects.all()] == ["A"]

    def test_count_that_the_column_cannot_hold_is_refused(self, api, license):
        _, text = Token.generate(license, activations=2**31 - 1)

        response = api(text).post("machines", activation(license))

        assert_refused(response, BAD, bad_request("integer is too large", "/data/attributes/activations"))


class TestChanges:
    def test_machine_is_deactivated_with_its_parts(self, admin, license):
        machine = make_machine(license)
        machine.components.create(account=license.account, fingerprint="C", name="CPU")

        assert admin.delete("machines/M").status_code == 204
        assert not Machine.objects.exists()
        assert admin.delete("machines/M").status_code == 404

    def test_limit_is_checked_only_if_its_value_changes(self, acme, admin):
        license = make_floating(acme.product, max_cores=4)
        make_machine(license, cores=8)

        assert admin.patch("machines/M", change("machines", name="new")).status_code == 200
        assert admin.patch("machines/M", change("machines", name="new", cores=8)).status_code == 200
        response = admin.patch("machines/M", change("machines", cores=5))
        detail = "machine core count has exceeded maximum allowed for license (4)"
        assert_refused(response, UNPROCESSABLE, exceeded(detail, "MACHINE_CORE_LIMIT_EXCEEDED"))
        assert admin.patch("machines/M", change("machines", cores=4)).status_code == 200

    def test_owner_is_changed(self, acme, admin, license):
        user = acme.user()
        make_machine(license)
        document = {"data": {"type": "users", "id": str(user.pk)}}

        assert admin.put("machines/M/owner", document).json()["errors"][0]["code"] == "OWNER_INVALID"
        license.license_users.create(account=acme.account, user=user)
        response = admin.put("machines/M/owner", document)
        assert response.json()["data"]["relationships"]["owner"]["data"]["id"] == str(user.pk)
        assert admin.get("machines/M/owner").json()["data"]["id"] == str(user.pk)
        assert admin.put("machines/M/owner", {"data": None}).status_code == 200
        assert admin.get("machines/M/owner").json() == {"data": None}

    def test_sums_of_the_new_owner_are_checked_where_users_have_limits_of_their_own(self, acme, admin):
        license = make_floating(acme.product, max_machines=1, max_cores=4, machine_leasing_strategy="PER_USER")
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        make_machine(license, "A", owner=user, cores=3)
        make_machine(license, "B", cores=2)
        make_machine(license, "C")
        document = {"data": {"type": "users", "id": str(user.pk)}}

        detail = "machine core count has exceeded maximum allowed for user (4)"
        expected = exceeded(detail, "MACHINE_CORE_LIMIT_EXCEEDED")
        assert_refused(admin.put("machines/B/owner", document), UNPROCESSABLE, expected)
        assert admin.put("machines/C/owner", document).status_code == 200

    def test_machines_of_former_users_have_no_owner(self, acme, admin, license):
        owner, attached = acme.user(email="owner@acme.test"), acme.user(email="attached@acme.test")
        license.owner = owner
        license.save()
        license.license_users.create(account=acme.account, user=attached)
        make_machine(license, "A", owner=owner)
        make_machine(license, "B", owner=attached)

        admin.put(f"licenses/{license.pk}/owner", {"data": None})
        admin.delete(f"licenses/{license.pk}/users", {"data": [{"type": "users", "id": str(attached.pk)}]})

        assert set(Machine.objects.values_list("owner", flat=True)) == {None}


def test_user_learns_nothing_of_a_license_of_others(acme, api, license):
    user = acme.user()
    make_machine(license)

    response = api(user).post("machines", activation(license, owner=user))

    expected = refused("must be a valid license user", "OWNER_INVALID", "/data/relationships/owner")
    assert_refused(response, UNPROCESSABLE, expected)
    assert_refused(api(user).post("machines", activation(license)), FORBIDDEN, forbidden())
