"""Requests that an empty pool refuses are counted, any number of them with few writes."""

from unittest.mock import Mock

import pytest

from pools.models import DailyRefusalCount
from pools.services import refusals
from pools.services.refusals import flush_refusals
from tests.cast import add_keys, make_policy

POP = "policies/{}/pool"


def counted():
    flush_refusals()
    return dict(DailyRefusalCount.objects.values_list("policy", "refused"))


def test_a_request_to_an_empty_pool_is_counted(acme, api):
    client = api(acme.admin)
    for _ in range(3):
        assert client.delete(POP.format(acme.policy.pk)).status_code == 422

    assert counted() == {acme.policy.pk: 3}


def test_counts_are_added_to_those_of_the_day(acme, api):
    client = api(acme.admin)
    for _ in range(2):
        client.delete(POP.format(acme.policy.pk))
        flush_refusals()

    assert counted() == {acme.policy.pk: 2}


def test_a_license_that_gets_no_key_is_counted(acme, api):
    attributes = {"type": "licenses", "relationships": {"policy": {"data": {"type": "policies", "id": acme.policy.pk}}}}

    assert api(acme.admin).post("licenses", {"data": attributes}).status_code == 422
    assert counted() == {acme.policy.pk: 1}


def test_a_key_that_is_handed_out_is_not_counted(acme, api):
    add_keys(acme.policy, "KEY-0001")

    assert api(acme.admin).delete(POP.format(acme.policy.pk)).status_code == 200
    assert counted() == {}


def test_a_policy_without_a_pool_is_not_counted(acme, api):
    assert api(acme.admin).delete(POP.format(acme.unpooled.pk)).status_code == 422
    assert counted() == {}


def test_many_requests_cost_no_statement_and_one_flush(acme, monkeypatch, django_assert_num_queries):
    timer = Mock()
    monkeypatch.setattr(refusals, "Timer", timer)

    with django_assert_num_queries(0):
        for _ in range(1_000):
            refusals.count_refusal(acme.policy)

    timer.assert_called_once_with(refusals.FLUSH_SECONDS, refusals._flush_in_thread)
    assert counted() == {acme.policy.pk: 1_000}


def test_a_flush_starts_again_after_the_last_one(acme, monkeypatch):
    timer = Mock()
    monkeypatch.setattr(refusals, "Timer", timer)

    refusals.count_refusal(acme.policy)
    flush_refusals()
    refusals.count_refusal(acme.policy)

    assert timer.call_count == 2


def test_the_number_of_counted_pools_is_limited(acme, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_COUNTED_POOLS", 1)
    refusals.count_refusal(acme.policy)

    refusals.count_refusal(make_policy(acme.product, "Other", use_pool=True))
    refusals.count_refusal(acme.policy)

    assert counted() == {acme.policy.pk: 2}


def test_a_deleted_pool_stops_no_other_one(acme):
    other = make_policy(acme.product, "Other", use_pool=True)
    refusals.count_refusal(other)
    refusals.count_refusal(acme.policy)
    other.delete()

    assert counted() == {acme.policy.pk: 1}


@pytest.mark.parametrize("keys", [1, 3])
def test_a_request_for_more_keys_than_there_are_is_counted_once(acme, act, keys):
    add_keys(acme.policy, *(f"KEY-{number:04}" for number in range(keys)))

    assert act("pop", count=keys + 1).status_code == 422
    assert counted() == {acme.policy.pk: 1}
