"""GET, PATCH and PUT /policies/:id (contract: keys 7.2)."""

import pytest

from tests.cast import make_policy
from tests.errors import BAD, NOT_FOUND, UNPROCESSABLE, assert_refused, bad_request, not_found, unprocessable
from tests.licensing.documents import UNKNOWN, document, linkage, policy_object, product_object

ATTRIBUTES = "/data/attributes"
FINAL = [("usePool", True), ("usePool", False), ("scheme", None), ("scheme", "ED25519_SIGN"), ("encrypted", False)]


@pytest.fixture
def policy(acme):
    return make_policy(acme.product, duration=86_400, max_uses=3, max_cores=2)


class TestRetrieve:
    def test_showing_a_policy_shows_the_policy(self, acme, api, policy):
        response = api(acme.admin).get(f"policies/{policy.pk}")

        expected = policy_object(policy, duration=86_400, maxUses=3, maxCores=2)
        assert (response.status_code, response.json()) == (200, {"data": expected})

    def test_showing_a_policy_costs_two_statements(self, acme, api, policy, django_assert_num_queries):
        admin = api(acme.admin)

        with django_assert_num_queries(2):  # who asks, and the policy
            admin.get(f"policies/{policy.pk}")

    @pytest.mark.parametrize("identifier", ["x", UNKNOWN])
    def test_showing_a_policy_says_when_there_is_none(self, acme, api, identifier):
        for response in (
            api(acme.admin).get(f"policies/{identifier}"),
            api(acme.admin).delete(f"policies/{identifier}"),
        ):
            assert_refused(response, NOT_FOUND, not_found("policy", identifier))

    def test_showing_a_policy_shows_the_product_of_the_policy(self, acme, api, policy):
        response = api(acme.admin).get(f"policies/{policy.pk}/product")

        assert (response.status_code, response.json()) == (200, {"data": product_object(acme.product)})


class TestUpdate:
    @pytest.mark.parametrize("method", ["patch", "put"])
    def test_update_of_a_policy_changes_what_was_sent_and_nothing_else(self, acme, api, policy, method):
        changes = document("policies", {"name": "Pro", "requireCheckIn": True, "checkInInterval": "day"})
        changes["data"]["attributes"]["checkInIntervalCount"] = 2

        response = getattr(api(acme.admin), method)(f"policies/{policy.pk}", changes)

        policy.refresh_from_db()
        expected = policy_object(policy, duration=86_400, maxUses=3, maxCores=2, **changes["data"]["attributes"])
        assert (response.status_code, response.json()) == (200, {"data": expected})
        assert policy.updated > policy.created

    @pytest.mark.parametrize("name", ["duration", "maxUses", "maxCores"])
    def test_null_takes_a_limit_away(self, acme, api, policy, name):
        api(acme.admin).patch(f"policies/{policy.pk}", document("policies", {name: None}))

        shown = api(acme.admin).get(f"policies/{policy.pk}").json()["data"]["attributes"]
        before = {"duration": 86_400, "maxUses": 3, "maxCores": 2}
        assert {limit: shown[limit] for limit in before} == before | {name: None}

    @pytest.mark.parametrize("name", ["name", "strict", "expirationStrategy", "protected", "metadata"])
    def test_update_of_a_policy_drops_a_null_that_cannot_be_kept(self, acme, api, policy, name):
        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", {name: None}))

        before = policy_object(policy, duration=86_400, maxUses=3, maxCores=2)
        assert (response.status_code, response.json()["data"]) == (200, before)

    @pytest.mark.parametrize(("name", "value"), FINAL)
    def test_update_of_a_policy_cannot_change_fixed_attributes(self, acme, api, policy, name, value):
        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", {name: value}))

        assert_refused(response, BAD, bad_request("unpermitted parameter", f"{ATTRIBUTES}/{name}"))

    @pytest.mark.parametrize(
        ("changes", "detail", "pointer"),
        [
            (None, "is missing", "/data"),
            ({"data": {"type": "policies"}}, "is missing", ATTRIBUTES),
            (document("products", {}), "is invalid", "/data/type"),
            (document("policies", {"name": ""}), "cannot be blank", f"{ATTRIBUTES}/name"),
            (document("policies", {}, product=linkage(UNKNOWN)), "unpermitted parameter", "/data/relationships"),
            (document("policies", {"leasingStrategy": "X"}), "unpermitted parameter", f"{ATTRIBUTES}/leasingStrategy"),
        ],
    )
    def test_update_of_a_policy_refuses_a_wrong_document(self, acme, api, policy, changes, detail, pointer):
        response = api(acme.admin).patch(f"policies/{policy.pk}", changes)

        assert_refused(response, BAD, bad_request(detail, pointer))

    def test_update_of_a_policy_refuses_a_value(self, acme, api, policy):
        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", {"duration": 1}))

        detail = "must be greater than or equal to 86400 (1 day)"
        error = unprocessable("policies", detail, "DURATION_INVALID", f"{ATTRIBUTES}/duration")
        assert_refused(response, UNPROCESSABLE, error)
