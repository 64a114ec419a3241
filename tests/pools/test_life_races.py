"""Replacing, returning, withdrawing, undoing and moving keys while other transactions hold them."""

from threading import Thread

import pytest
from django.db import connection, transaction

from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.key_files import Line
from pools.models import Key, KeyEvent
from pools.services.import_changes import move_import, undo_import, withdraw_import
from pools.services.imports import import_keys
from pools.services.keys import KeyWithdrawn, pop_keys, replace_key, return_key, withdraw_key
from tests.cast import add_keys, make_policy, numbered
from tests.races import Holder, race, run_while_held, wait_for_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


@pytest.fixture
def replace(pooled_policy, audit):
    return lambda text="KEY-0001": replace_key(policy=pooled_policy, text=text, audit=audit)


def import_of(policy, audit, count):
    lines = [Line(number, text) for number, text in enumerate(numbered(count), 1)]
    return import_keys(policy=policy, files=[lines], audit=audit).key_import


def texts(keys):
    return sorted(keys.values_list("key", flat=True))


class TestReplace:
    def test_pop_takes_the_key_after_the_one_that_a_replacement_holds(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(3))
        pooled_policy.pool.pop(audit)

        with Holder(replace) as holder:
            assert pooled_policy.pool.pop(audit).key == "KEY-0003"
            holder.let_go(commit=True)

        assert holder.result.key == "KEY-0002"

    def test_replacement_that_is_rolled_back_gives_its_key_back(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(2))
        pooled_policy.pool.pop(audit)

        with Holder(replace):
            pass

        assert Key.objects.get(key="KEY-0001").state == "popped"
        assert pooled_policy.pool.pop(audit).key == "KEY-0002"

    def test_key_is_replaced_once(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(3))
        pooled_policy.pool.pop(audit)

        waited, result = run_while_held(replace, replace)

        assert (waited, type(result)) == (True, KeyWithdrawn)
        assert texts(pooled_policy.pool.available()) == ["KEY-0003"]

    def test_replacement_waits_for_the_last_key(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(2))
        pooled_policy.pool.pop(audit)

        waited, result = run_while_held(lambda: pooled_policy.pool.pop(audit), replace)

        assert (waited, type(result)) == (True, PoolEmpty)
        assert Key.objects.get(key="KEY-0001").state == "popped"

    def test_replacement_keeps_what_another_request_changed_of_the_license(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(2))
        license = issue_license(policy=pooled_policy, audit=audit)

        waited, result = run_while_held(
            lambda: License.objects.select_for_update().get(pk=license.pk).suspend(), replace
        )

        license.refresh_from_db()
        assert (waited, result.key, license.key, license.suspended) == (True, "KEY-0002", "KEY-0002", True)


class TestReturn:
    def test_key_that_is_being_withdrawn_is_not_returned(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")
        pooled_policy.pool.pop(audit)

        waited, result = run_while_held(
            lambda: withdraw_key(policy=pooled_policy, text="KEY-0001", audit=audit),
            lambda: return_key(policy=pooled_policy, text="KEY-0001", undelivered=True, audit=audit),
        )

        assert (waited, type(result)) == (True, KeyWithdrawn)
        assert not pooled_policy.pool.available().exists()

    def test_key_that_is_being_returned_is_withdrawn_afterwards(self, pooled_policy, audit):
        add_keys(pooled_policy, "KEY-0001")
        pooled_policy.pool.pop(audit)

        waited, result = run_while_held(
            lambda: return_key(policy=pooled_policy, text="KEY-0001", undelivered=True, audit=audit),
            lambda: withdraw_key(policy=pooled_policy, text="KEY-0001", audit=audit),
        )

        assert (waited, result.state) == (True, "withdrawn")
        events = list(KeyEvent.objects.order_by("id").values_list("event", flat=True))
        assert events == ["popped", "returned", "withdrawn"]

    def test_key_that_is_being_replaced_is_not_returned(self, pooled_policy, audit, replace):
        add_keys(pooled_policy, *numbered(2))
        pooled_policy.pool.pop(audit)

        waited, result = run_while_held(
            replace, lambda: return_key(policy=pooled_policy, text="KEY-0001", undelivered=True, audit=audit)
        )

        assert (waited, type(result)) == (True, KeyWithdrawn)


@pytest.fixture
def changes(pooled_policy, audit):
    """The changes of an import: each takes an import, and gives back the number of the keys that it has changed."""
    other = make_policy(pooled_policy.product, "Other", use_pool=True)
    return {
        "undo": lambda each: undo_import(key_import=each, audit=audit).changed,
        "move": lambda each: move_import(key_import=each, destination=other, audit=audit).changed,
        "withdraw": lambda each: withdraw_import(key_import=each, audit=audit).changed,
    }


@pytest.mark.parametrize("change", ["undo", "move", "withdraw"])
class TestImportChanges:
    def test_change_waits_for_a_key_that_is_being_popped(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 4)

        waited, changed = run_while_held(lambda: pooled_policy.pool.pop(audit), lambda: changes[change](key_import))

        assert (waited, changed) == (True, 3)
        assert texts(pooled_policy.pool.exclude(popped=None)) == ["KEY-0001"]
        assert not pooled_policy.pool.available().exists()

    def test_change_takes_a_key_whose_pop_is_rolled_back(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 4)
        results = []

        with Holder(lambda: pooled_policy.pool.pop(audit)) as holder:
            thread = Thread(target=lambda: results.extend(race(1, lambda: changes[change](key_import))))
            thread.start()
            wait_for_lock()
            holder.let_go()
            thread.join(timeout=60)

        assert results == [4]
        assert not pooled_policy.pool.available().exists()

    def test_pop_waits_for_a_batch_and_finds_the_pool_empty(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 4)

        waited, result = run_while_held(lambda: changes[change](key_import), lambda: pooled_policy.pool.pop(audit))

        assert (waited, type(result)) == (True, PoolEmpty)

    def test_pop_gets_a_key_of_a_batch_that_is_rolled_back(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 4)
        results = []

        with Holder(lambda: changes[change](key_import)) as holder:
            thread = Thread(target=lambda: results.extend(race(1, lambda: pooled_policy.pool.pop(audit))))
            thread.start()
            wait_for_lock()
            holder.let_go()
            thread.join(timeout=60)

        assert [key.key for key in results] == ["KEY-0001"]

    def test_pop_of_several_goes_on_while_a_change_waits_for_its_first_key(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 4)
        add_keys(pooled_policy, "KEY-0009")
        results = []
        thread = Thread(target=lambda: results.extend(race(1, lambda: changes[change](key_import))))

        with transaction.atomic():
            first = pooled_policy.pool.pop(audit)
            thread.start()
            wait_for_lock()
            second = pooled_policy.pool.pop(audit)
        thread.join(timeout=60)

        assert ([first.key, second.key], results) == (["KEY-0001", "KEY-0009"], [3])

    def test_keys_are_changed_once_by_two_at_the_same_time(self, pooled_policy, audit, changes, change):
        key_import = import_of(pooled_policy, audit, 50)

        assert sum(race(4, lambda: changes[change](key_import))) == 50

    def test_many_pops_during_a_change_lose_no_key(self, pooled_policy, audit, changes, change, monkeypatch):
        monkeypatch.setattr("pools.services.import_changes.BATCH_SIZE", 3)
        key_import = import_of(pooled_policy, audit, 60)

        def pop_all():
            popped = []
            try:
                while True:
                    popped += pop_keys(policy=pooled_policy, count=2, audit=audit)
            except PoolEmpty:
                return popped

        results = []
        thread = Thread(target=lambda: results.extend(race(1, lambda: changes[change](key_import))))
        thread.start()
        popped = [key.key for keys in race(3, pop_all) for key in keys]
        thread.join(timeout=60)

        assert len(popped) == len(set(popped))
        assert len(popped) + results[0] in (59, 60)  # a pop of two leaves the last key
        assert len(popped) + results[0] + pooled_policy.pool.available().count() == 60


def test_moved_keys_are_popped_before_younger_ones_of_the_other_pool(pooled_policy, audit):
    other = make_policy(pooled_policy.product, "Other", use_pool=True)
    key_import = import_of(pooled_policy, audit, 2)
    add_keys(other, "KEY-0008", "KEY-0009")
    assert other.pool.pop(audit).key == "KEY-0008"  # this process has a hint now

    move_import(key_import=key_import, destination=other, audit=audit)

    assert [other.pool.pop(audit).key for _ in range(3)] == ["KEY-0001", "KEY-0002", "KEY-0009"]
    connection.close()
