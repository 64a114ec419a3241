"""The totals and the chart of the overview."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from licensing.models import Policy
from pools.models import DailyPopCount, Key
from pools.services import charts
from pools.services.charts import Bar, Chart, Series, count_older_days, summarize_demand
from tests.cast import make_policy, make_product

NOW = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_the_afternoon(monkeypatch, acme):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    Policy.objects.update(created=NOW - timedelta(days=400))


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that would run in the background."""
    waiting = []
    monkeypatch.setattr("accounts.background.run_in_background", lambda function, *args: waiting.append(args))
    return waiting


def hand_out(policy, count, days=0, hours=1):
    """Let keys be handed out so long before now."""
    when = NOW - timedelta(days=days, hours=hours)
    keys = [
        Key(
            account=policy.account,
            policy=policy,
            key=f"{policy.name}-{days}-{hours}-{number}",
            popped=when,
            disclosed=when,
            disclosure="popped",
            disclosed_to="",
        )
        for number in range(count)
    ]
    Key.objects.bulk_create(keys)


def old_pool(product, name):
    policy = make_policy(product, name, use_pool=True)
    Policy.objects.filter(pk=policy.pk).update(created=NOW - timedelta(days=400))
    return policy


def demand(days=30):
    return summarize_demand(Policy.objects.all(), days)


def test_today_is_compared_with_the_same_day_up_to_this_time(acme):
    hand_out(acme.policy, 3)
    hand_out(acme.policy, 2, days=7, hours=1)
    hand_out(acme.policy, 50, days=7, hours=-1)  # later on that day

    totals, _ = demand()

    assert (totals.today, totals.same_day) == (3, 2)


def test_the_week_is_compared_with_the_one_before(acme):
    hand_out(acme.policy, 3)
    hand_out(acme.policy, 4, days=6)
    hand_out(acme.policy, 2, days=7)
    hand_out(acme.policy, 6, days=13)
    hand_out(acme.policy, 50, days=14)

    totals, _ = demand()

    assert (totals.week, totals.week_before) == (7, 8)


def test_a_bar_for_each_day_with_today_last(acme):
    hand_out(acme.policy, 3)
    hand_out(acme.policy, 5, days=29)
    hand_out(acme.policy, 9, days=30)

    _, chart = demand()

    assert [bar.total for bar in chart.bars] == [5, *[0] * 28, 3]
    assert [(series.name, series.total) for series in chart.series] == [("Rocket", 8)]
    assert chart.bars[-1].first == chart.bars[-1].last == NOW.date()
    assert chart.is_complete


def test_the_largest_products_have_series_and_the_rest_is_one(acme):
    for number in range(1, 8):
        policy = old_pool(make_product(acme.account, f"Product {number}"), f"Pool {number}")
        hand_out(policy, number, days=number)

    _, chart = demand()

    assert [(series.name, series.total) for series in chart.series] == [
        *((f"Product {number}", number) for number in (7, 6, 5, 4, 3)),
        ("Other products", 3),
    ]
    assert chart.total == 28
    assert sum(bar.total for bar in chart.bars) == 28


def test_pools_of_a_product_are_one_series(acme):
    hand_out(acme.policy, 2)
    hand_out(old_pool(acme.product, "Other"), 3, days=1)

    _, chart = demand()

    assert [(series.name, series.total) for series in chart.series] == [("Rocket", 5)]


def test_other_accounts_are_left_out(acme, rival):
    hand_out(rival.policy, 7)

    totals, chart = summarize_demand(Policy.objects.filter(account=acme.account))

    assert (totals.today, chart.total) == (0, 0)


def test_older_days_are_counted_in_the_background(acme, jobs):
    hand_out(acme.policy, 4, days=60)

    _, chart = demand(90)
    (job,) = jobs
    count_older_days(*job)
    _, counted = demand(90)

    assert (chart.is_complete, chart.total) == (False, 0)
    assert (counted.is_complete, counted.total, len(counted.bars)) == (True, 4, 90)
    assert DailyPopCount.objects.count() == 89
    assert len(jobs) == 1


def test_a_year_has_bars_of_weeks(acme, jobs):
    hand_out(acme.policy, 4, days=8)
    hand_out(acme.policy, 1, days=7)
    hand_out(acme.policy, 2, days=6)

    _, chart = demand(364)

    assert len(chart.bars) == 52
    assert [bar.total for bar in chart.bars[-2:]] == [5, 2]
    assert (chart.bars[-1].last - chart.bars[-1].first).days == 6


def test_the_statements_do_not_grow_with_the_pools(acme, django_assert_num_queries):
    demand()
    with django_assert_num_queries(20, exact=False) as few:
        demand()
    for number in range(20):
        old_pool(make_product(acme.account, f"Product {number}"), f"Pool {number}")
    demand()
    with django_assert_num_queries(20, exact=False) as many:
        demand()

    assert len(few) == len(many)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (1, 2), (3, 4), (5, 6), (7, 10), (11, 20), (99, 100), (101, 200), (241, 400), (599, 600)]
)
def test_the_axis_ends_at_an_even_number(most, top):
    day = timezone.now().date()

    assert Chart([Series("a", most)], [Bar(day, day, [most])], is_complete=True).top == top


def test_bars_are_stacked_up_to_the_axis():
    day = timezone.now().date()
    chart = Chart([Series("a", 3), Series("b", 1)], [Bar(day, day, [3, 1])], is_complete=True)

    (column,) = chart.columns()

    assert column["parts"] == [
        {"number": 0, "y": 25.0, "height": 75.0},
        {"number": 1, "y": 0.0, "height": 25.0},
    ]
    assert charts.HEIGHT == 100
