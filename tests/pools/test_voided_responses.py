"""A stored response that holds a returned key is never replayed: the key may have reached another caller by then."""

import pytest

from pools.models import KeyEvent
from pools.services.keys import return_key
from tests.cast import add_keys, numbered
from tests.errors import assert_refused

VOID = {
    "title": "Conflict",
    "detail": "The effect of the request with this Idempotency-Key was undone. Please send a new request.",
    "code": "IDEMPOTENT_RESPONSE_VOID",
    "links": {"about": "/docs#IDEMPOTENT_RESPONSE_VOID"},
    "source": {"header": "Idempotency-Key"},
}


def pop(caller, pool):
    return caller.delete(pool, Idempotency_Key="order-1")


def pop_several(caller, pool):
    return caller.post(f"{pool}/actions/pop", {"meta": {"count": 2}}, Idempotency_Key="order-1")


def replace(caller, pool):
    """Needs that the first key of the pool is popped."""
    return caller.post(f"{pool}/actions/replace", {"meta": {"key": "KEY-0000"}}, Idempotency_Key="order-1")


def keys_of(response):
    data = response.json()["data"]
    return [key["attributes"]["key"] for key in (data if isinstance(data, list) else [data])]


@pytest.fixture
def pool(acme):
    return f"policies/{acme.policy.pk}/pool"


@pytest.fixture
def caller(acme, api, pool):
    add_keys(acme.policy, "KEY-0000", *numbered(4))
    caller = api(acme.admin)
    assert keys_of(caller.delete(pool)) == ["KEY-0000"]
    return caller


@pytest.mark.parametrize(("take", "text"), [(pop, "KEY-0001"), (pop_several, "KEY-0002"), (replace, "KEY-0001")])
class TestVoid:
    def test_void_response_is_not_replayed(self, acme, caller, pool, audit, take, text):
        assert text in keys_of(take(caller, pool))
        return_key(policy=acme.policy, text=text, undelivered=True, audit=audit)

        assert_refused(take(caller, pool), 409, VOID)
        assert keys_of(caller.delete(pool)) == [text]
        assert_refused(take(caller, pool), 409, VOID)

    def test_void_refusal_changes_nothing(self, acme, caller, pool, audit, take, text):
        take(caller, pool)
        return_key(policy=acme.policy, text=text, undelivered=True, audit=audit)
        events, available = KeyEvent.objects.count(), acme.policy.pool.available().count()

        take(caller, pool)

        assert (KeyEvent.objects.count(), acme.policy.pool.available().count()) == (events, available)


def test_responses_of_other_keys_are_replayed(acme, caller, pool, audit):
    first = pop(caller, pool)
    text = keys_of(caller.delete(pool))[0]
    return_key(policy=acme.policy, text=text, undelivered=True, audit=audit)

    again = pop(caller, pool)

    assert (again.status_code, again.json()) == (200, first.json())


def test_response_of_the_next_pop_of_the_key_is_replayed(acme, caller, pool, audit):
    """Only the response of the pop that was undone is void, not that of the next pop of the same key."""
    pop(caller, pool)
    return_key(policy=acme.policy, text="KEY-0001", undelivered=True, audit=audit)
    caller.delete(pool, Idempotency_Key="order-2")

    again = caller.delete(pool, Idempotency_Key="order-2")

    assert (again.status_code, keys_of(again)) == (200, ["KEY-0001"])
    assert_refused(pop(caller, pool), 409, VOID)
