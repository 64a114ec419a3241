"""Issuing licenses, above all from a pool (contract: licenses 3)."""

import re
from datetime import UTC, datetime
from unittest import mock
from uuid import uuid4

import pytest
from django.db import IntegrityError

from accounts.models import User
from licensing.durations import add_duration
from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.errors import assert_refused, bad_request, forbidden, unprocessable

KEY, POLICY = "/data/attributes/key", "/data/relationships/policy"
EMPTY = unprocessable("licenses", "pool is empty", "POLICY_POOL_EMPTY", POLICY)
GENERATED = re.compile(r"[0-9A-F]{6}(-[0-9A-F]{6}){4}-V3")


GROUP = "/data/relationships/group"


def license_document(policy, attributes=None, owner=None, **members):
    relationships = {"policy": {"data": {"type": "policies", "id": str(getattr(policy, "pk", policy))}}}
    if owner:
        relationships["owner"] = {"data": {"type": "users", "id": str(owner.pk)}}
    data = {"type": "licenses", "relationships": relationships, **members}
    return {"data": data | ({"attributes": attributes} if attributes is not None else {})}


class TestFromAPool:
    def test_issue_from_a_pool_takes_the_next_key(self, api, acme):
        add_keys(acme.policy, *numbered(2))

        response = api(acme.admin).post("licenses", license_document(acme.policy))

        license = License.objects.get()
        assert (response.status_code, response.json()["data"]["attributes"]["key"]) == (201, "KEY-0001")
        assert (license.key, license.policy, license.product) == ("KEY-0001", acme.policy, acme.product)
        assert [key.key for key in acme.policy.pool.available()] == ["KEY-0002"]

    def test_issue_from_a_pool_is_in_the_ledger(self, api, acme):
        key = add_keys(acme.policy, "KEY-0001")[0]

        api(acme.product).post("licenses", license_document(acme.policy), Keygen_Reference="Order 17")

        event = KeyEvent.objects.get()
        assert (event.event, event.key, event.license, event.reference) == (
            "issued",
            key,
            License.objects.get(),
            "Order 17",
        )
        assert (event.bearer_type, event.bearer_id) == ("products", acme.product.pk)

    def test_issue_from_a_pool_of_an_empty_pool_makes_nothing(self, api, acme):
        assert_refused(api(acme.admin).post("licenses", license_document(acme.policy)), 422, EMPTY)
        assert not License.objects.exists()

    def test_issue_from_a_pool_takes_no_key_that_is_said(self, api, acme):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.admin).post("licenses", license_document(acme.policy, {"key": "MY-OWN-KEY"}))

        detail = "cannot be specified for a license using a pooled policy"
        assert_refused(response, 422, unprocessable("licenses", detail, "KEY_NOT_SUPPORTED", KEY))
        assert acme.policy.pool.available().count() == 1

    @pytest.mark.parametrize(
        ("attributes", "error"),
        [
            (
                {"name": "x" * 1025},
                ("is too long (maximum is 1024 characters)", "NAME_TOO_LONG", "/data/attributes/name"),
            ),
            ({"maxUses": -1}, ("must be greater than or equal to 0", "MAX_USES_INVALID", "/data/attributes/maxUses")),
            (
                {"maxMachines": 2},
                ("must be equal to 1 for non-floating policy", "MAX_MACHINES_INVALID", "/data/attributes/maxMachines"),
            ),
        ],
    )
    def test_issue_from_a_pool_that_is_refused_leaves_the_pool_as_it_was(self, api, acme, attributes, error):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.admin).post("licenses", license_document(acme.policy, attributes))

        assert_refused(response, 422, unprocessable("licenses", *error))
        assert acme.policy.pool.available().count() == 1
        assert not KeyEvent.objects.exists()

    def test_issue_from_a_pool_that_fails_after_the_claim_puts_the_key_back(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")

        with mock.patch.object(License, "save", side_effect=IntegrityError), pytest.raises(IntegrityError):
            issue_license(policy=acme.policy, audit=audit)

        assert acme.policy.pool.pop(audit).key == "KEY-0001"

    def test_issue_from_a_pool_does_not_give_a_key_back_when_the_license_goes(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        issue_license(policy=acme.policy, audit=audit).delete()

        with pytest.raises(PoolEmpty):
            acme.policy.pool.pop(audit)
        assert Key.objects.get().popped


class TestWithoutAPool:
    def test_issue_without_a_pool_makes_a_key_of_the_documented_pattern(self, api, acme):
        response = api(acme.admin).post("licenses", license_document(acme.unpooled))

        key = response.json()["data"]["attributes"]["key"]
        assert (response.status_code, len(key)) == (201, 37)
        assert GENERATED.fullmatch(key)
        assert response["Location"].endswith(f"/v1/accounts/{acme.account.pk}/licenses/{License.objects.get().pk}")

    def test_issue_without_a_pool_takes_the_key_that_is_said(self, api, acme):
        response = api(acme.admin).post("licenses", license_document(acme.unpooled, {"key": "MY-OWN/KEY"}))

        assert response.json()["data"]["attributes"]["key"] == "MY-OWN/KEY"

    @pytest.mark.parametrize(
        ("key", "errors"),
        [
            ("LICENSE-KEY", [("has already been taken", "KEY_TAKEN")]),
            ("WAITING-KEY", [("has already been taken", "KEY_TAKEN")]),
            ("POPPED-KEY", [("has already been taken", "KEY_TAKEN")]),
            ("short", [("is too short (minimum is 6 characters)", "KEY_TOO_SHORT")]),
            ("x" * 16_385, [("is too long (maximum is 16384 characters)", "KEY_TOO_LONG")]),
            ("actions", [("is reserved", "KEY_NOT_ALLOWED")]),
            ("action", [("is reserved", "KEY_NOT_ALLOWED")]),
        ],
    )
    def test_issue_without_a_pool_refuses_a_key(self, api, acme, audit, key, errors):
        add_keys(acme.policy, "POPPED-KEY", "WAITING-KEY")
        acme.policy.pool.pop(audit)
        make_license(acme.unpooled, "LICENSE-KEY")

        response = api(acme.admin).post("licenses", license_document(acme.unpooled, {"key": key}))

        assert_refused(response, 422, *(unprocessable("licenses", *error, KEY) for error in errors))

    def test_issue_without_a_pool_refuses_the_id_of_a_license_as_a_key(self, api, acme):
        license = make_license(acme.unpooled)

        response = api(acme.admin).post("licenses", license_document(acme.unpooled, {"key": str(license.pk)}))

        detail = "must not conflict with another license's identifier (UUID)"
        assert_refused(response, 422, unprocessable("licenses", detail, "KEY_CONFLICT", KEY))


class TestTerms:
    def test_terms_of_the_policy_are_defaults_of_an_issue(self, api, acme):
        policy = make_policy(acme.product, duration=2_629_746, max_uses=5, protected=False)

        attributes = api(acme.admin).post("licenses", license_document(policy)).json()["data"]["attributes"]

        license = License.objects.get()
        assert license.expiry == add_duration(license.created, 2_629_746)
        assert (attributes["maxUses"], attributes["maxMachines"], attributes["protected"]) == (5, 1, False)
        assert (attributes["status"], attributes["uses"], attributes["nextCheckIn"]) == ("ACTIVE", 0, None)

    def test_terms_in_the_document_override_those_of_the_policy(self, api, acme):
        policy = make_policy(acme.product, duration=86_400, max_uses=5)
        said = {"expiry": "2031-05-06T07:08:09.123Z", "maxUses": 7, "metadata": {"order_id": 1}, "name": "Ann"}

        attributes = api(acme.admin).post("licenses", license_document(policy, said)).json()["data"]["attributes"]

        assert attributes["expiry"] == "2031-05-06T07:08:09.123Z"
        assert (attributes["maxUses"], attributes["name"], attributes["metadata"]) == (7, "Ann", {"orderId": 1})

    def test_terms_of_an_issue_ask_for_the_first_check_in(self, api, acme):
        policy = make_policy(acme.product, require_check_in=True, check_in_interval="month", check_in_interval_count=2)

        attributes = api(acme.admin).post("licenses", license_document(policy)).json()["data"]["attributes"]

        license = License.objects.get()
        assert attributes["lastCheckIn"] == attributes["created"]
        assert license.next_check_in == add_duration(license.created, 2 * 2_629_746)


@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [
        ("2021-07-19", 2_629_746, "2021-08-19T00:00:00"),
        ("2021-01-31", 2_629_746, "2021-02-28T00:00:00"),
        ("2024-02-29", 31_556_952, "2025-02-28T00:00:00"),
        ("2021-12-01", 86_400, "2021-12-02T00:00:00"),
        ("2021-01-01", 2_678_400, "2021-02-01T13:30:54"),
        ("2021-11-30", 3 * 2_629_746, "2022-02-28T00:00:00"),
    ],
)
def test_durations_go_by_the_calendar(start, seconds, end):
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)

    assert add_duration(moment, seconds) == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_a_license_may_be_in_no_group_only(acme, api):
    speaker, wrong = api(acme.admin), []
    linked = {"type": "groups", "id": str(uuid4())}
    for group, status, code, pointer in [
        ({"data": None}, 201, None, None),
        (None, 201, None, None),
        ({"data": linked}, 422, "GROUP_NOT_FOUND", GROUP),
        ({"data": linked | {"type": "group"}}, 422, "GROUP_NOT_FOUND", GROUP),
        ({"data": linked | {"type": "users"}}, 400, None, f"{GROUP}/data/type"),
        ({"data": linked | {"id": "x"}}, 400, None, f"{GROUP}/data/id"),
        ({}, 400, None, f"{GROUP}/data"),
    ]:
        document = license_document(acme.unpooled)
        document["data"]["relationships"]["group"] = group
        response = speaker.post("licenses", document)
        error = response.json().get("errors", [{}])[0]
        if (response.status_code, error.get("code"), error.get("source", {}).get("pointer")) != (status, code, pointer):
            wrong.append((group, response.json()))
    assert wrong == []


def test_a_license_of_relationships_that_do_not_exist_names_all_of_them(acme, api):
    relationships = {
        name: {"data": {"type": type, "id": str(uuid4())}}
        for name, type in (("group", "groups"), ("owner", "users"), ("policy", "policies"))
    }

    response = api(acme.admin).post("licenses", {"data": {"type": "licenses", "relationships": relationships}})

    codes = ["POLICY_NOT_FOUND", "PRODUCT_NOT_FOUND", "OWNER_NOT_FOUND", "GROUP_NOT_FOUND"]
    assert [error["code"] for error in response.json()["errors"]] == codes


def test_a_license_with_several_wrong_values_names_them_in_one_order(acme, api):
    limits = ["maxMachines", "maxCores", "maxMemory", "maxDisk", "maxUses", "maxProcesses", "maxUsers"]
    values = dict.fromkeys(sorted(limits), -1) | {"name": "x" * 1025, "key": "short"}

    errors = api(acme.admin).post("licenses", license_document(acme.unpooled, values)).json()["errors"]

    assert [error["source"]["pointer"].rpartition("/")[2] for error in errors] == ["key", "name", *limits]


class TestChosenIds:
    def test_chosen_ids_are_kept(self, api, acme):
        uuid = uuid4()

        response = api(acme.admin).post("licenses", license_document(acme.unpooled, id=str(uuid)))

        assert (response.status_code, response.json()["data"]["id"]) == (201, str(uuid))

    def test_chosen_ids_are_refused_when_taken(self, api, acme):
        license = make_license(acme.unpooled)

        response = api(acme.admin).post("licenses", license_document(acme.unpooled, id=str(license.pk)))

        error = response.json()["errors"][0]
        assert (response.status_code, error["code"], error["source"]) == (422, "ID_CONFLICT", {"pointer": "/data/id"})

    def test_chosen_ids_of_another_account_are_refused_likewise(self, api, acme, rival):
        license = make_license(rival.unpooled)

        response = api(acme.admin).post("licenses", license_document(acme.unpooled, id=str(license.pk)))

        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "ID_CONFLICT")

    def test_chosen_ids_do_not_disturb_the_order_of_lists(self, api, acme):
        oldest = api(acme.admin).post("licenses", license_document(acme.unpooled, id=str(uuid4()))).json()["data"]
        newest = api(acme.admin).post("licenses", license_document(acme.unpooled)).json()["data"]

        first = api(acme.admin).get("licenses?page[size]=1").json()
        second = api(acme.admin).get(first["links"]["next"]).json()

        assert [first["data"][0]["id"], second["data"][0]["id"]] == [newest["id"], oldest["id"]]
        assert second["links"]["next"] is None


class TestWho:
    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "product"])
    def test_managers_may(self, api, acme, role):
        assert api(acme.bearer(role)).post("licenses", license_document(acme.unpooled)).status_code == 201

    @pytest.mark.parametrize("role", ["support-agent"])
    def test_issue_by_role_others_may_not(self, api, acme, role):
        assert_refused(api(acme.bearer(role)).post("licenses", license_document(acme.unpooled)), 403, forbidden())

    def test_a_product_only_under_its_own_policies(self, api, acme):
        for policy in (make_policy(acme.another_product()), uuid4()):
            assert_refused(api(acme.product).post("licenses", license_document(policy)), 403, forbidden())

    def test_a_user_for_themselves_where_the_policy_is_open(self, api, acme):
        user: User = acme.user("user")
        policy = make_policy(acme.product, protected=False)

        response = api(user).post("licenses", license_document(policy, owner=user))
        assert (response.status_code, License.objects.get().owner) == (201, user)
        assert_refused(api(user).post("licenses", license_document(policy)), 403, forbidden())
        assert_refused(api(user).post("licenses", license_document(acme.unpooled, owner=user)), 403, forbidden())

    @pytest.mark.parametrize("name", ["protected", "expiry", "suspended", "maxMachines", "maxUses"])
    def test_a_user_may_not_say(self, api, acme, name):
        user = acme.user("user")

        response = api(user).post("licenses", license_document(acme.unpooled, {name: 1}, owner=user))

        assert_refused(response, 400, bad_request("unpermitted parameter", f"/data/attributes/{name}"))

    def test_a_policy_that_is_not_there_is_named(self, api, acme, rival):
        for policy in (uuid4(), rival.policy):
            response = api(acme.admin).post("licenses", license_document(policy))

            assert_refused(
                response,
                422,
                unprocessable("licenses", "must exist", "POLICY_NOT_FOUND", POLICY),
                unprocessable("licenses", "must exist", "PRODUCT_NOT_FOUND", "/data/relationships/product"),
            )

    def test_an_owner_that_is_not_there_is_named(self, api, acme, rival):
        for owner in (rival.admin, type(rival.admin)()):
            response = api(acme.product).post("licenses", license_document(acme.unpooled, owner=owner))

            error = unprocessable("licenses", "must exist", "OWNER_NOT_FOUND", "/data/relationships/owner")
            assert_refused(response, 422, error)
