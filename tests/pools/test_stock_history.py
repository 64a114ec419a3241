"""The stock of a pool on past days, worked out from pops, imports and removals."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from licensing.models import Policy
from pools.admin.stock_chart import StockChart, round_up
from pools.key_files import Line
from pools.models import Key, KeyEvent, KeyImport
from pools.services.forecasts import Forecast
from pools.services.import_changes import move_import, undo_import
from pools.services.imports import import_keys
from pools.services.keys import withdraw_key
from pools.services.stock_history import StockDay, in_groups, stock_history
from tests.cast import make_policy, numbered
from tests.tables import each_row

TODAY = date(2026, 11, 27)


def imported(policy, audit, *texts, days_ago):
    lines = [Line(number, text) for number, text in enumerate(texts, 1)]
    key_import = import_keys(policy=policy, files=[lines], audit=audit).key_import
    KeyImport.objects.filter(pk=key_import.pk).update(created=timezone.now() - timedelta(days=days_ago))
    return key_import


def history_of(policy, days=30):
    today = timezone.now().date()
    available = policy.pool.available().count()
    return stock_history(policy, available=available, today=today, handed_out_today=0, days=days).days


@pytest.fixture
def policy(acme):
    Policy.objects.filter(pk=acme.policy.pk).update(created=timezone.now() - timedelta(days=9))
    return Policy.objects.get(pk=acme.policy.pk)


def test_history_begins_with_the_pool(policy):
    assert len(history_of(policy)) == 10
    assert len(history_of(policy, days=4)) == 4


def test_history_of_a_refill_and_pops(policy, audit):
    imported(policy, audit, *numbered(6), days_ago=6)
    for days_ago in (4, 4, 1):
        key = policy.pool.pop(audit)
        Key.objects.filter(pk=key.pk).update(popped=timezone.now() - timedelta(days=days_ago))

    assert [each.stock for each in history_of(policy)] == [0, 0, 0, 6, 6, 4, 4, 4, 3, 3]


def test_history_knows_what_was_undone_moved_and_retired(acme, policy, audit):
    other = make_policy(acme.product, "Other", use_pool=True)
    undone = imported(policy, audit, *numbered(3), days_ago=5)
    moved = imported(policy, audit, "MOVE-0001", "MOVE-0002", days_ago=5)
    imported(policy, audit, "STAY-0001", "STAY-0002", days_ago=5)
    undo_import(key_import=undone, audit=audit)
    move_import(key_import=moved, destination=other, audit=audit)
    withdraw_key(policy=policy, text="STAY-0001", audit=audit)
    KeyEvent.objects.update(created=timezone.now() - timedelta(days=2))
    Key.objects.filter(withdrawn__isnull=False).update(withdrawn=timezone.now() - timedelta(days=2))

    history = history_of(policy)

    assert [each.stock for each in history] == [0, 0, 0, 0, 7, 7, 7, 1, 1, 1]
    assert [each.removed for each in history if each.removed] == [6]


def test_keys_that_were_used_elsewhere_were_never_in_stock(policy, audit):
    lines = [Line(1, "USED-0001"), Line(2, "USED-0002")]
    import_keys(policy=policy, files=[lines], audit=audit, used=timezone.now())

    assert KeyImport.objects.get().added == 2
    assert {(each.stock, each.imported) for each in history_of(policy)} == {(0, 0)}


def test_history_is_never_negative(policy, audit):
    imported(policy, audit, *numbered(3), days_ago=2)
    Key.objects.all().delete()

    assert min(each.stock for each in history_of(policy)) == 0


def days_of(*stocks):
    first = TODAY - timedelta(days=len(stocks) - 1)
    return [StockDay(first + timedelta(days=place), stock, 1, 0, 0) for place, stock in enumerate(stocks)]


def test_groups_end_today():
    groups = in_groups(days_of(9, 8, 7, 6, 5), 2)

    assert [(each.day, each.stock, each.handed_out) for each in groups] == [
        (TODAY - timedelta(days=4), 9, 1),
        (TODAY - timedelta(days=2), 7, 2),
        (TODAY, 5, 2),
    ]


@each_row(("number", "end"), [(0, 4), (3, 4), (5, 5), (7, 8), (9, 10), (12, 20), (99, 100), (250, 400), (1_000, 1_000)])
def test_axes_end_at_round_numbers(number, end):
    assert round_up(number) == end


class TestChart:
    def chart(self, *stocks, threshold=None, in_days=None):
        forecast = None
        if in_days:
            first, last = (TODAY + timedelta(days=number) for number in in_days)
            forecast = Forecast(TODAY, first, first, last)
        return StockChart(days_of(*stocks), 1, threshold, forecast)

    def test_line_is_within_the_plot(self):
        chart = self.chart(*range(100, 0, -10), in_days=(2, 4))

        points = [tuple(map(float, point.split(","))) for point in chart.line.split()]
        assert all(0 <= x <= 1000 and 0 <= y <= 100 for x, y in points)
        assert points[0][1] == 0
        assert points[-1][1] == 90

    def test_forecast_begins_today_and_ends_at_nothing(self):
        chart = self.chart(*range(100, 0, -10), in_days=(2, 4))

        now, *ends = chart.forecast_area.split()
        assert now == chart.line.split()[-1]
        assert {end.partition(",")[2] for end in ends} == {"100"}
        assert self.chart(5, 4).forecast_area == ""

    def test_alert_is_within_the_plot_also_when_it_is_above_the_stock(self):
        assert self.chart(5, 4, threshold=80).threshold_y == 0
        assert self.chart(5, 4).threshold_y is None

    def test_chart_is_told_in_a_sentence(self):
        assert self.chart(5, 4).label == "Stock from 5 keys on 26 Nov to 4 today."
