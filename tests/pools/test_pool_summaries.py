"""The summary of a pool: the keys that are left, and how long they will last."""

from datetime import timedelta

from django.utils import timezone

from licensing.models import Policy
from pools.models import Key, KeyImport
from pools.services.statistics import summarize_pools
from tests.cast import add_keys, numbered

KEYS = 100


def summary_of(policy, **options):
    (summary,) = summarize_pools(Policy.objects.filter(pk=policy.pk), **options)
    return summary


def history(policy, *, created, imported, sold_from, per_day):
    """A pool of KEYS available keys, filled so many days ago, that has handed out keys since a day."""
    now = timezone.now()
    Policy.objects.filter(pk=policy.pk).update(created=now - timedelta(days=created))
    key_import = KeyImport.objects.create(account=policy.account, policy=policy, added=KEYS + per_day * sold_from)
    KeyImport.objects.update(created=now - timedelta(days=imported))
    common = {"account": policy.account, "policy": policy, "key_import": key_import}
    keys = [Key(key=f"KEY-{number:05}", **common) for number in range(KEYS)]
    for day in range(1, sold_from + 1):
        when = now - timedelta(days=day)
        popped = {"popped": when, "disclosed": when, "disclosure": "popped", "disclosed_to": ""}
        keys += [Key(key=f"POPPED-{day}-{number:05}", **popped, **common) for number in range(per_day)]
    Key.objects.bulk_create(keys)


def days_left(policy):
    return (summary_of(policy).forecast.expected - timezone.now().date()).days


def test_days_before_the_pool_was_filled_do_not_lower_the_rate(acme):
    history(acme.policy, created=100, imported=5, sold_from=5, per_day=10)

    assert days_left(acme.policy) in (9, 10)


def test_days_without_orders_do(acme):
    history(acme.policy, created=100, imported=20, sold_from=5, per_day=10)

    assert days_left(acme.policy) > 30


def test_keys_that_were_added_one_by_one_are_forecast_too(acme, audit):
    add_keys(acme.policy, *numbered(6))
    for _ in range(3):
        acme.policy.pool.pop(audit)

    assert summary_of(acme.policy).forecast is not None


def test_an_empty_pool_has_no_forecast(acme, audit):
    add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(audit)

    summary = summary_of(acme.policy)

    assert (summary.is_empty, summary.is_low, summary.forecast) == (True, True, None)


def test_a_pool_that_is_not_counted_to_its_end_is_low_if_it_was_alerted(acme):
    add_keys(acme.policy, *numbered(4))
    Policy.objects.filter(pk=acme.policy.pk).update(low_stock_threshold=1_000)

    assert not summary_of(acme.policy, max_counted=2).is_low
    Policy.objects.filter(pk=acme.policy.pk).update(low_stock_alerted=timezone.now())
    assert summary_of(acme.policy, max_counted=2).is_low
    assert summary_of(acme.policy).is_low
