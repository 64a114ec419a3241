from collections.abc import Callable
from datetime import date, timedelta

import pytest

from pools.services.forecasts import HORIZON_DAYS, forecast

TODAY = date(2026, 11, 26)  # a Thursday
MONDAY, SATURDAY = 0, 5


def days(count: Callable[[date], int], number: int = 29) -> list[tuple[date, int]]:
    """The last days, today last."""
    return [(day, count(day)) for day in (TODAY - timedelta(number - 1 - place) for place in range(number))]


def steady(day: date) -> int:
    return 30 + day.toordinal() * 7 % 11


def test_a_steady_pool_is_gone_within_a_few_days_around_the_mean():
    result = forecast(days(steady), 200, TODAY)

    assert result is not None
    assert result.earliest <= result.expected <= result.latest
    assert result.expected == date(2026, 12, 2)
    assert result.text == "gone between Wed 2 and Thu 3 Dec"
    assert result.short_text == "Wed 2 Dec"


def test_a_pool_that_hands_out_on_mondays_is_gone_on_a_monday():
    result = forecast(days(lambda day: 30 if day.weekday() == MONDAY else 0), 28, TODAY)

    assert result is not None
    assert (result.earliest, result.latest) == (date(2026, 11, 30), date(2026, 12, 7))


def test_a_pool_that_rests_on_weekends_is_not_gone_on_one():
    workdays = days(lambda day: 0 if day.weekday() >= SATURDAY else 10)

    ends = [forecast(workdays, available, TODAY) for available in range(1, 200)]

    assert all(end is not None and end.expected.weekday() < SATURDAY for end in ends)


def test_the_range_of_few_orders_is_wider_than_that_of_many():
    few, many = forecast(days(lambda _: 1), 30, TODAY), forecast(days(lambda _: 100), 3000, TODAY)

    assert few is not None
    assert many is not None
    assert few.latest - few.earliest > many.latest - many.earliest


def test_growth_makes_the_range_wider():
    growing = forecast(days(lambda day: 60 - 2 * (TODAY - day).days), 500, TODAY)
    even = forecast(days(lambda _: 31), 500, TODAY)

    assert growing is not None
    assert even is not None
    assert growing.latest - growing.earliest > even.latest - even.earliest


def test_orders_of_a_single_week_give_no_latest_day():
    result = forecast(days(lambda day: int(0 < (TODAY - day).days < 8)), 32, TODAY)

    assert result is not None
    assert result.latest > TODAY + timedelta(HORIZON_DAYS)
    assert result.text == "gone 20 Jan at the earliest"


@pytest.mark.parametrize(
    ("available", "text", "short_text"),
    [
        (20, "gone about Fri 27 Nov", "Fri 27 Nov"),
        (350, "gone between Sun 6 and Mon 7 Dec", "Sun 6 Dec"),
        (1790, "gone between 14 and 19 Jan", "17 Jan"),
        (9000, "gone between July and August 2027", "August 2027"),
        (1_000_000, "not in 5 years", "not in 5 years"),
        (10**12, "not in 5 years", "not in 5 years"),
    ],
)
def test_the_text_names_weekdays_then_days_then_months(available: int, text: str, short_text: str):
    result = forecast(days(steady), available, TODAY)

    assert result is not None
    assert (result.text, result.short_text) == (text, short_text)


def test_forecast_does_not_expect_todays_orders_again():
    morning = forecast(days(lambda day: 0 if day == TODAY else 30), 29, TODAY)
    evening = forecast(days(lambda _: 30), 29, TODAY)

    assert morning is not None
    assert evening is not None
    assert (morning.expected, morning.text) == (TODAY, "gone between today and Fri 27 Nov")
    assert evening.expected == TODAY + timedelta(1)


def test_days_before_four_weeks_are_left_out():
    long_ago = days(lambda day: 500 if (TODAY - day).days > 28 else 10, number=90)

    assert forecast(long_ago, 100, TODAY) == forecast(days(lambda _: 10), 100, TODAY)


def test_a_pool_of_today_is_forecast_from_today():
    result = forecast(days(lambda _: 10, number=1), 100, TODAY)

    assert result is not None
    assert result.expected == TODAY + timedelta(10)


@pytest.mark.parametrize(("count", "available"), [(0, 10), (10, 0)])
def test_there_is_no_forecast_without_orders_or_keys(count: int, available: int):
    assert forecast(days(lambda _: count), available, TODAY) is None


def test_there_is_no_forecast_without_days():
    assert forecast([], 10, TODAY) is None
