"""The pool of a policy: looking into it, and taking keys out of it (contract: keys 1.2, 6)."""

import pytest
from django.db import connection, transaction

from licensing.models import PoolEmpty, PoolNotSupported
from pools.models import Key, KeyEvent
from tests.cast import add_keys, make_policy, numbered
from tests.errors import ENDPOINT_NOT_FOUND, assert_refused, forbidden, lacks_permission, not_found
from tests.pools.documents import key_object

EMPTY = {
    "title": "Unprocessable entity",
    "detail": "pool is empty",
    "source": {"pointer": "/data/relationships/pool"},
}
NOT_SUPPORTED = EMPTY | {"detail": "pool is not supported"}


class TestPop:
    def test_pop_takes_the_oldest_key_first(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0002", "KEY-0001")

        assert [pooled_policy.pool.pop(audit).key, pooled_policy.pool.pop(audit).key] == ["KEY-0002", "KEY-0001"]

    def test_pop_leaves_other_pools_alone(self, acme, audit):
        other = make_policy(acme.product, use_pool=True)
        add_keys(other, "KEY-0001")
        add_keys(acme.policy, "KEY-0002")

        assert acme.policy.pool.pop(audit).key == "KEY-0002"
        assert [key.key for key in other.pool.available()] == ["KEY-0001"]

    def test_pop_says_when_the_pool_is_empty(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")
        pooled_policy.pool.pop(audit)

        with pytest.raises(PoolEmpty):
            pooled_policy.pool.pop(audit)

    def test_pop_needs_a_pool(self, acme, audit):
        Key.objects.create(account=acme.account, policy=acme.unpooled, key="KEY-0001")

        with pytest.raises(PoolNotSupported):
            acme.unpooled.pool.pop(audit)

    def test_pop_returns_the_key_when_the_caller_rolls_back(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")

        with pytest.raises(RuntimeError), transaction.atomic():
            pooled_policy.pool.pop(audit)
            raise RuntimeError

        assert pooled_policy.pool.pop(audit).key == "KEY-0001"

    def test_pop_keeps_the_row_and_its_moments(self, pooled_policy, audit):
        before = add_keys(pooled_policy, "KEY-0001")[0]

        popped = pooled_policy.pool.pop(audit)

        after = Key.objects.get()
        assert popped == before == after
        assert (after.created, after.updated) == (before.created, before.updated)
        assert after.popped == popped.popped is not None

    def test_pop_passes_over_what_was_withdrawn(self, pooled_policy, audit):
        first, _ = add_keys(pooled_policy, *numbered(2))
        first.withdrawn = first.created
        first.save_changes("withdrawn")

        assert pooled_policy.pool.pop(audit).key == "KEY-0002"
        with pytest.raises(PoolEmpty):
            pooled_policy.pool.pop(audit)

    def test_pop_is_in_the_ledger(self, acme, audit):
        key = add_keys(acme.policy, "KEY-0001")[0]

        popped = acme.policy.pool.pop(audit)

        event = KeyEvent.objects.get()
        assert (event.event, event.operator, event.license_id) == ("popped", "tests", None)
        assert (event.account, event.product, event.policy) == (acme.account, acme.product, acme.policy)
        assert (event.key, bytes(event.key_digest)) == (key, key.digest)
        assert event.created == event.updated == popped.popped


class TestPopByRequest:
    def test_pop_by_request_answers_the_key(self, api, acme):
        key = add_keys(acme.policy, "KEY-0001")[0]

        response = api(acme.admin).delete(f"policies/{acme.policy.pk}/pool")

        assert (response.status_code, response.json()) == (200, {"data": key_object(key)})

    def test_pop_by_request_is_written_down_with_who_and_which_request(self, api, acme):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.product).delete(f"policies/{acme.policy.pk}/pool")

        event = KeyEvent.objects.get()
        assert (event.bearer_type, event.bearer_id) == ("products", acme.product.pk)
        assert event.request_id == response["X-Request-Id"]

    def test_pop_by_request_of_an_empty_pool_is_refused(self, api, acme):
        assert_refused(api(acme.admin).delete(f"policies/{acme.policy.pk}/pool"), 422, EMPTY)
        assert not KeyEvent.objects.exists()

    def test_pop_by_request_of_an_unpooled_policy_is_refused(self, api, acme):
        assert_refused(api(acme.admin).delete(f"policies/{acme.unpooled.pk}/pool"), 422, NOT_SUPPORTED)

    def test_pop_by_request_costs_few_statements(self, api, acme, django_assert_max_num_queries):
        # The bearer, the policy, the claim; on SQLite the ledger is a statement of its own, within a savepoint.
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)
        admin.delete(f"policies/{acme.policy.pk}/pool")

        with django_assert_max_num_queries(6 if connection.vendor == "sqlite" else 3):
            admin.delete(f"policies/{acme.policy.pk}/pool")

    @pytest.mark.parametrize("role", ["admin", "developer", "product"])
    def test_pop_by_request_is_for_permitted_roles(self, api, acme, role):
        add_keys(acme.policy, "KEY-0001")

        assert api(acme.bearer(role)).delete(f"policies/{acme.policy.pk}/pool").status_code == 200

    @pytest.mark.parametrize(
        ("role", "error"),
        [
            ("sales-agent", forbidden()),
            ("support-agent", forbidden()),
            ("read-only", lacks_permission("read-only")),
            ("license", lacks_permission("license")),
        ],
    )
    def test_pop_by_request_is_not_for(self, api, acme, role, error):
        add_keys(acme.policy, "KEY-0001")

        assert_refused(api(acme.bearer(role)).delete(f"policies/{acme.policy.pk}/pool"), 403, error)
        assert acme.policy.pool.available().count() == 1


class TestLook:
    def test_look_into_a_pool_lists_the_newest_first(self, api, acme):
        keys = add_keys(acme.policy, *numbered(3))
        add_keys(make_policy(acme.product, use_pool=True), "OTHER-POOL")

        response = api(acme.user("read-only")).get(f"policies/{acme.policy.pk}/pool")

        assert (response.status_code, response.json()) == (200, {"data": [key_object(key) for key in keys[::-1]]})

    def test_look_into_a_pool_lists_nothing_without_a_pool(self, api, acme):
        Key.objects.create(account=acme.account, policy=acme.unpooled, key="KEY-0001")

        assert api(acme.admin).get(f"policies/{acme.unpooled.pk}/pool").json() == {"data": []}

    def test_look_into_a_pool_finds_a_key_of_this_pool_only(self, api, acme):
        key = add_keys(acme.policy, "KEY-0001")[0]
        other = make_policy(acme.product, use_pool=True)
        reader = api(acme.user("read-only"))

        assert reader.get(f"policies/{acme.policy.pk}/pool/{key.pk}").json() == {"data": key_object(key)}
        assert_refused(reader.get(f"policies/{other.pk}/pool/{key.pk}"), 404, not_found("key", key.pk))

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "pool"), ("PATCH", "pool"), ("DELETE", "pool/{}"), ("PATCH", "pool/{}")]
    )
    def test_look_into_a_pool_has_no_other_verbs(self, api, acme, method, path):
        key = add_keys(acme.policy, "KEY-0001")[0]

        response = api(acme.admin).request(method, f"policies/{acme.policy.pk}/{path.format(key.pk)}")

        assert_refused(response, 404, ENDPOINT_NOT_FOUND, early=True)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
class TestOutOfSight:
    def test_look_out_of_sight_hides_the_policy_of_another_account(self, api, acme, rival, method):
        add_keys(rival.policy, "KEY-0001")

        response = api(acme.admin).request(method, f"policies/{rival.policy.pk}/pool")

        assert_refused(response, 404, not_found("policy", rival.policy.pk))
        assert rival.policy.pool.available().exists()

    def test_look_out_of_sight_hides_the_policy_of_another_product(self, api, acme, method):
        response = api(acme.another_product()).request(method, f"policies/{acme.policy.pk}/pool")

        assert_refused(response, 404, not_found("policy", acme.policy.pk))

    def test_look_out_of_sight_hides_policies_from_users_without_a_license(self, api, acme, method):
        response = api(acme.user("user")).request(method, f"policies/{acme.policy.pk}/pool")

        assert_refused(response, 404, not_found("policy", acme.policy.pk))

    @pytest.mark.parametrize("identifier", ["x", "6e936a61-94ad-44d1-88ac-88da9f10eca7"])
    def test_look_out_of_sight_does_not_find(self, api, acme, method, identifier):
        response = api(acme.admin).request(method, f"policies/{identifier}/pool")

        assert_refused(response, 404, not_found("policy", identifier))
