"""The database finds the pools that need keys, with any number of pools."""

import pytest
from django.utils import timezone

from accounts.models import User
from licensing.models import Policy
from licensing.services import issue_license
from pools.models import Key, MutedPool
from pools.services.keys import add_key, delete_key, withdraw_key
from pools.services.low_pools import (
    COUNT_LIMITS,
    find_low_pools,
    find_needy_pools,
    mute_pool,
    unmute_pool,
    with_emptied,
)
from tests.cast import add_keys, make_policy, numbered

EVERY = Policy.objects.all


@pytest.fixture
def pool(acme):
    def make(name, keys, threshold=None, **fields):
        policy = make_policy(acme.product, name, use_pool=True, low_stock_threshold=threshold, **fields)
        texts = [f"{name}-{number:05}" for number in range(keys)]
        Key.objects.bulk_create(Key(account=acme.account, policy=policy, key=text) for text in texts)
        return policy

    acme.policy.delete()
    return make


def refill(acme, audit):
    return add_key(Key(account=acme.account, policy=acme.policy, key="KEY-0001"), audit)


def names(policies):
    return [policy.name for policy in policies]


@pytest.mark.parametrize("threshold", [0, 1, 29, 30, 31, 99, 100, 101])
def test_a_pool_is_low_from_its_threshold_on(pool, threshold):
    pool("above", threshold + 1, threshold)
    pool("at", threshold, threshold)
    pool("below", max(threshold - 1, 0), threshold)

    assert set(names(find_low_pools(EVERY()))) == {"at", "below"}


def test_a_pool_without_a_threshold_is_low_when_it_is_empty(pool):
    pool("empty", 0)
    pool("one", 1)

    assert names(find_low_pools(EVERY())) == ["empty"]


def test_the_emptiest_pool_comes_first(pool):
    for name, keys in (("a", 5), ("b", 0), ("c", 2)):
        pool(name, keys, 10)

    assert names(find_low_pools(EVERY())) == ["b", "c", "a"]


def test_a_threshold_too_large_to_count_is_judged_by_its_alert(pool):
    large = COUNT_LIMITS[-1] + 1
    pool("told", 3, large, low_stock_alerted=timezone.now())
    pool("not told", 3, large)

    assert names(find_low_pools(EVERY())) == ["told"]


def test_only_available_keys_count(pool, audit):
    policy = pool("used", 2, 1)
    policy.pool.pop(audit)
    assert names(find_low_pools(EVERY())) == ["used"]


def test_policies_without_a_pool_are_left_out(acme):
    assert names(find_low_pools(EVERY())) == ["Pooled"]


class TestMuted:
    def test_a_muted_pool_is_low_but_not_needy(self, acme):
        mute_pool(acme.policy, acme.admin)

        assert names(find_low_pools(EVERY())) == ["Pooled"]
        assert names(find_needy_pools(EVERY())) == []

    def test_it_does_again_when_it_is_unmuted(self, acme):
        mute_pool(acme.policy, acme.admin)
        unmute_pool(acme.policy)

        assert names(find_needy_pools(EVERY())) == ["Pooled"]

    def test_a_refill_ends_it(self, acme, audit):
        mute_pool(acme.policy, acme.admin)
        refill(acme, audit)
        acme.policy.pool.pop(audit)

        assert names(find_needy_pools(EVERY())) == ["Pooled"]
        assert not MutedPool.objects.in_force().exists()

    def test_a_refill_before_does_not_end_it(self, acme, audit):
        refill(acme, audit)
        acme.policy.pool.pop(audit)
        mute_pool(acme.policy, acme.admin)

        assert names(find_needy_pools(EVERY())) == []

    def test_muting_twice_keeps_the_last_one(self, acme):
        mute_pool(acme.policy, acme.admin)
        mute_pool(acme.policy, User(email="ann@acme.test"))

        assert MutedPool.objects.get().operator == "ann@acme.test"


class TestEmptied:
    def emptied(self, policy):
        return with_emptied(Policy.objects.filter(pk=policy.pk)).get().emptied

    def test_never_filled(self, acme):
        assert self.emptied(acme.policy) is None

    def test_by_the_last_pop(self, acme, audit):
        add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(audit)
        key = acme.policy.pool.pop(audit)

        assert self.emptied(acme.policy) == key.popped

    def test_by_a_license(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        issue_license(policy=acme.policy, audit=audit)

        assert self.emptied(acme.policy) == acme.policy.pool.get().popped

    def test_by_a_deletion(self, acme, audit):
        popped, deleted = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(audit)
        before = timezone.now()
        delete_key(deleted, audit)

        assert self.emptied(acme.policy) > before

    def test_not_by_the_withdrawal_of_a_key_that_had_left(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        key = acme.policy.pool.pop(audit)
        withdraw_key(policy=acme.policy, text=key.key, audit=audit)

        assert self.emptied(acme.policy) == key.popped
