"""Concurrent requests to one pool. SQLite runs writers one after the other; the last of these tests hold there, too."""

from threading import Timer
from uuid import uuid5

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from keygen_site.models import IdempotentResponse
from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from pools.services.keys import pop_keys, withdraw_key
from tests.cast import add_key, add_keys, numbered
from tests.errors import assert_refused
from tests.licensing.test_issue_license import license_document
from tests.races import Holder, race, race_of, results_of

pytestmark = pytest.mark.django_db(transaction=True)


def texts_of(results):
    return sorted(key.key for key in results_of((Key, License), results))


class TestPop:
    def test_never_hands_out_a_key_twice(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(10))

        results = race(12, lambda: pooled_policy.pool.pop(audit))

        assert texts_of(results) == numbered(10)
        assert len(results_of(PoolEmpty, results)) == 2
        assert KeyEvent.objects.count() == 10

    def test_and_issuing_share_a_pool(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(10))
        works = [lambda: pooled_policy.pool.pop(audit), lambda: issue_license(policy=pooled_policy, audit=audit)]

        results = race_of(works * 6)

        assert texts_of(results) == numbered(10)
        assert len(results_of((PoolEmpty, ValidationError), results)) == 2

    def test_key_that_is_popped_and_withdrawn_at_the_same_time_is_withdrawn(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")

        popped, withdrawn = race_of(
            [
                lambda: pooled_policy.pool.pop(audit),
                lambda: withdraw_key(policy=pooled_policy, text="KEY-0001", audit=audit),
            ]
        )

        assert isinstance(withdrawn, Key)
        assert Key.objects.get().state == "withdrawn"
        events = list(KeyEvent.objects.order_by("id").values_list("event", flat=True))
        assert sorted(events) == sorted(["popped"] * isinstance(popped, Key) + ["withdrawn"])

    @pytest.mark.postgresql
    def test_pop_passes_over_a_key_that_is_held(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(2))

        with Holder(lambda: pooled_policy.pool.pop(audit)):
            assert pooled_policy.pool.pop(audit).key == "KEY-0002"

        assert pooled_policy.pool.pop(audit).key == "KEY-0001"


@pytest.mark.postgresql
class TestEmptyMeansEmpty:
    """While a transaction that may roll back holds the last key, no response says that the pool is empty."""

    def test_pop_of_the_last_key_waits_and_gets_what_comes_back(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")

        with Holder(lambda: pooled_policy.pool.pop(audit)) as holder:
            Timer(0.2, holder.let_go).start()
            assert pooled_policy.pool.pop(audit).key == "KEY-0001"

    def test_pop_of_the_last_key_waits_and_is_empty_when_the_key_is_gone(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")

        with Holder(lambda: pooled_policy.pool.pop(audit)) as holder:
            Timer(0.2, lambda: holder.let_go(commit=True)).start()
            with pytest.raises(PoolEmpty):
                pooled_policy.pool.pop(audit)

    def test_pop_of_the_last_key_waits_for_each_of_several(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(4))

        with Holder(lambda: [pooled_policy.pool.pop(audit) for _ in range(4)]) as holder:
            Timer(0.2, holder.let_go).start()
            results = race(6, lambda: pooled_policy.pool.pop(audit))

        assert texts_of(results) == numbered(4)
        assert len(results_of(PoolEmpty, results)) == 2

    def test_pop_of_the_last_key_says_busy_when_it_takes_too_long(self, api, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        admin = api(acme.admin)

        with Holder(lambda: acme.policy.pool.pop(audit)):
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            response = admin.delete(f"policies/{acme.policy.pk}/pool")

        assert (response.status_code, response["Retry-After"]) == (503, "1")
        assert response.json()["errors"][0]["code"] == "BUSY"
        assert acme.policy.pool.available().exists()
        connection.close()  # with its short patience

    def test_pop_of_the_last_key_of_a_license_too(self, api, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        admin = api(acme.admin)

        with Holder(lambda: acme.policy.pool.pop(audit)) as holder:
            Timer(0.2, holder.let_go).start()
            response = admin.post("licenses", license_document(acme.policy))

        assert (response.status_code, response.json()["data"]["attributes"]["key"]) == (201, "KEY-0001")


class TestManyAtOnce:
    def test_pops_of_many_take_all_or_none_each(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(10))

        results = race(4, lambda: pop_keys(policy=pooled_policy, count=4, audit=audit))

        taken = [key.key for keys in results_of(list, results) for key in keys]
        assert (len(taken), len(set(taken))) == (8, 8)
        assert len(results_of(PoolEmpty, results)) == 2
        assert pooled_policy.pool.available().count() == 2


class TestOneText:
    """A text becomes a key in a pool or the key of a license: the first request wins."""

    def test_one_text_is_one_key(self, pooled_policy):
        results = race(6, lambda: add_key(pooled_policy, "KEY-0001"))

        assert len(results_of(ValidationError, results)) == 5
        assert Key.objects.count() == 1

    def test_one_text_is_a_key_or_a_license(self, acme, audit):
        results = race_of(
            [
                lambda: add_key(acme.policy, "KEY-0001"),
                lambda: issue_license(policy=acme.unpooled, audit=audit, key="KEY-0001"),
            ]
            * 4
        )

        assert len(results_of(ValidationError, results)) == 7
        assert Key.objects.count() + License.objects.count() == 1


class TestTwins:
    """Two requests of one name at the same moment have one effect."""

    @pytest.mark.parametrize("ways", [8])
    def test_twins_get_the_same_key(self, api, acme, ways):
        add_keys(acme.policy, *numbered(ways))
        token = api(acme.admin).token

        responses = race(ways, lambda: api(token).delete(f"policies/{acme.policy.pk}/pool", Idempotency_Key="twin"))

        assert {response.status_code for response in responses} == {200}
        assert len({response.content for response in responses}) == 1
        assert sum("Idempotency-Replayed" not in response for response in responses) == 1
        assert acme.policy.pool.available().count() == ways - 1

    @pytest.mark.postgresql
    def test_twins_wait_no_longer_than_a_lock(self, api, acme):
        add_keys(acme.policy, "KEY-0001")
        admin = api(acme.admin)
        bearer_id = uuid5(acme.admin.pk, "users")
        row = {"account_id": acme.account.pk, "bearer_id": bearer_id, "name": "twin", "fingerprint": b""}

        with Holder(lambda: IdempotentResponse.objects.create(**row)):
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            response = admin.delete(f"policies/{acme.policy.pk}/pool", Idempotency_Key="twin")

        connection.close()  # with its short patience
        error = {
            "title": "Conflict",
            "detail": "A request with the same Idempotency-Key is still running. Please try again.",
            "code": "IDEMPOTENCY_KEY_IN_USE",
            "links": {"about": "/docs#IDEMPOTENCY_KEY_IN_USE"},
            "source": {"header": "Idempotency-Key"},
        }
        assert_refused(response, 409, error)
        assert admin.delete(f"policies/{acme.policy.pk}/pool", Idempotency_Key="twin").status_code == 200


def test_changing_a_key_that_is_being_popped_does_not_change_what_was_handed_out(api, acme, audit):
    key = add_keys(acme.policy, "KEY-0001")[0]
    token = api(acme.admin).token
    document = {"data": {"type": "keys", "attributes": {"key": "KEY-0002"}}}

    popped, changed, deleted = race_of(
        [
            lambda: acme.policy.pool.pop(audit),
            lambda: api(token).patch(f"keys/{key.pk}", document),
            lambda: api(token).delete(f"keys/{key.pk}"),
        ]
    )

    if isinstance(popped, Key):
        assert popped.key == Key.objects.get().key == ("KEY-0002" if changed.status_code == 200 else "KEY-0001")
        assert deleted.status_code == 404
    else:
        assert isinstance(popped, PoolEmpty)
        assert (deleted.status_code, Key.objects.count()) == (204, 0)


@pytest.mark.sqlite
def test_pop_on_sqlite_waits_for_the_writer(pooled_policy, audit):
    add_keys(pooled_policy, "KEY-0001")

    with Holder(lambda: pooled_policy.pool.pop(audit)) as holder:
        Timer(0.2, holder.let_go).start()
        assert pooled_policy.pool.pop(audit).key == "KEY-0001"
