"""Exports mark keys as exported before they output them, and block no other request."""

from itertools import islice
from threading import Timer

import pytest

from licensing.models import PoolEmpty
from pools.models import Key, UsedText
from pools.services.exports import export_keys
from pools.services.keys import delete_key, pop_keys
from tests.cast import add_keys, numbered
from tests.pools.test_import_races import wait_for
from tests.races import Holder, race, race_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr("pools.services.exports.PAGE_SIZE", 3)


def elsewhere(work):
    """The function's result or exception, from a thread with its own connection."""
    (result,) = race(1, work)
    return result


def disclosed():
    return list(Key.objects.filter(disclosure="exported").order_by("id").values_list("key", flat=True))


def texts(keys):
    return [key.key for key in keys]


def test_keys_are_marked_before_their_texts_are_given(pooled_policy, audit):
    add_keys(pooled_policy, *numbered(7))

    keys = export_keys(policy=pooled_policy, audit=audit)

    assert elsewhere(disclosed) == []
    assert texts(islice(keys, 1)) == ["KEY-0001"]
    assert elsewhere(disclosed) == numbered(3)
    assert texts(keys) == numbered(7)[1:]
    assert elsewhere(disclosed) == numbered(7)


def test_a_key_is_marked_the_first_time_only(pooled_policy, audit):
    add_keys(pooled_policy, *numbered(4))
    list(export_keys(policy=pooled_policy, audit=audit))
    first = dict(Key.objects.values_list("key", "disclosed"))

    assert texts(export_keys(policy=pooled_policy, audit=audit, state="all")) == numbered(4)

    assert dict(Key.objects.values_list("key", "disclosed")) == first


@pytest.mark.parametrize(
    ("state", "marked"),
    [("available", [3, 4]), ("popped", [1]), ("withdrawn", [2]), ("all", [1, 2, 3, 4])],
)
def test_only_keys_that_are_given_are_marked(pooled_policy, audit, state, marked):
    keys = add_keys(pooled_policy, *numbered(4))
    pooled_policy.pool.pop(audit)
    Key.objects.filter(pk=keys[1].pk).update(withdrawn=keys[1].created)

    given = texts(export_keys(policy=pooled_policy, audit=audit, state=state))

    assert given == disclosed() == [f"KEY-000{number}" for number in marked]


@pytest.mark.postgresql
class TestOthers:
    """Transactions that have changed a key of the page that is being exported, and end while the export waits."""

    def export_while(self, policy, audit, change, state="available", commit=True):
        with Holder(change) as holder:
            Timer(0.3, lambda: holder.let_go(commit=commit)).start()
            return texts(export_keys(policy=policy, audit=audit, state=state))

    def test_a_key_that_is_popped_meanwhile_is_not_given_as_available(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(4))

        given = self.export_while(pooled_policy, audit, lambda: pooled_policy.pool.pop(audit))

        assert given == disclosed() == numbered(4)[1:]

    def test_a_pop_that_is_rolled_back_leaves_no_gap(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(4))

        given = self.export_while(pooled_policy, audit, lambda: pooled_policy.pool.pop(audit), commit=False)

        assert given == disclosed() == numbered(4)

    def test_a_key_that_is_deleted_meanwhile_is_not_given(self, pooled_policy, audit):
        _, key, *_ = add_keys(pooled_policy, *numbered(4))

        given = self.export_while(pooled_policy, audit, lambda: delete_key(key, audit))

        assert "KEY-0002" not in given
        assert not UsedText.objects.exists()

    def test_a_key_that_is_renamed_meanwhile_is_given_by_its_new_text(self, pooled_policy, audit):
        _, key, *_ = add_keys(pooled_policy, *numbered(4))

        def rename():
            key.key = "KEY-0009"
            key.save_changes("key")

        given = self.export_while(pooled_policy, audit, rename)

        assert given == ["KEY-0001", "KEY-0009", "KEY-0003", "KEY-0004"]
        assert not UsedText.objects.exists()

    def test_an_export_that_waits_for_a_key_holds_no_other(self, pooled_policy, audit):
        """Otherwise a pop of several keys and an export could wait for each other."""
        add_keys(pooled_policy, *numbered(3))
        with Holder(lambda: Key.objects.select_for_update().get(key="KEY-0002")) as holder:

            def pop_meanwhile():
                wait_for_lock()
                try:
                    return texts(pop_keys(policy=pooled_policy, count=2, audit=audit))
                finally:
                    holder.let_go()

            exported, popped = race_of([lambda: texts(export_keys(policy=pooled_policy, audit=audit)), pop_meanwhile])

        assert popped == ["KEY-0001", "KEY-0003"]
        assert exported == numbered(3)  # as they were when their turn came

    def test_others_pops_do_not_wait_for_keys_that_are_being_marked(self, pooled_policy, audit):
        add_keys(pooled_policy, *numbered(2))

        with Holder(lambda: Key.objects.filter(key="KEY-0001").disclose("exported", audit)):
            assert pooled_policy.pool.pop(audit).key == "KEY-0002"


def wait_for_lock():
    wait_for("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def test_pops_go_on_while_an_export_is_read(pooled_policy, audit):
    add_keys(pooled_policy, *numbered(5))

    keys = export_keys(policy=pooled_policy, audit=audit)
    first = next(keys)
    popped = elsewhere(lambda: pooled_policy.pool.pop(audit))

    assert (first.key, popped.key) == ("KEY-0001", "KEY-0001")
    assert texts(keys) == numbered(5)[1:]
    assert elsewhere(lambda: pop_keys(policy=pooled_policy, count=5, audit=audit)).__class__ is PoolEmpty
