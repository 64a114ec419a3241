"""When a pool will be empty, as a range of days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt

from django.utils.dateformat import format as format_date

FORECAST_DAYS = 28  # the days that a forecast learns from
WEEKDAY_DAYS = 14  # from so many days on, each weekday has a rate of its own
HORIZON_DAYS = 5 * 365
EXACT_DAYS = 60  # beyond, texts name months instead of days
WEEKDAY_NAME_DAYS = 21  # beyond, texts leave the weekday out
SPREAD = 1.28  # standard deviations on each side: four of five pools are empty within the range


@dataclass(frozen=True)
class Forecast:
    """The days on which a pool is likely to be empty.

    Attributes:
        earliest: the first day of the range.
        expected: the day on which the pool is empty at the mean rate.
        latest: the last day of the range. A day beyond HORIZON_DAYS stands for that or any later day.
    """

    today: date
    earliest: date
    expected: date
    latest: date

    @property
    def text(self) -> str:
        """For a sentence about a pool: "gone between Wed 2 and Fri 4 Dec", "gone in January 2027"."""
        if self._is_beyond(self.earliest):
            return self.short_text
        if self._is_beyond(self.latest):
            is_near = 0 < (self.earliest - self.today).days <= EXACT_DAYS
            day = format_date(self.earliest, "j M") if is_near else self._name(self.earliest)
            return f"gone {day} at the earliest"
        first, last = self._name(self.earliest), self._name(self.latest)
        if first == last:
            return f"gone {first}" if last == "today" else f"gone {'in' if self._is_far else 'about'} {last}"
        if not self._is_far and first != "today" and self._is_one_month:
            first = first.rpartition(" ")[0]
        elif self._is_far and self.earliest.year == self.latest.year:
            first = format_date(self.earliest, "F")
        return f"gone between {first} and {last}"

    @property
    def short_text(self) -> str:
        """For a column "Empty about": "Mon 30 Nov", "January 2027", "not in 5 years"."""
        return "not in 5 years" if self._is_beyond(self.expected) else self._name(self.expected)

    @property
    def _is_far(self) -> bool:
        return (self.latest - self.today).days > EXACT_DAYS

    @property
    def _is_one_month(self) -> bool:
        return (self.earliest.year, self.earliest.month) == (self.latest.year, self.latest.month)

    def _is_beyond(self, day: date) -> bool:
        return (day - self.today).days > HORIZON_DAYS

    def _name(self, day: date) -> str:
        if day == self.today:
            return "today"
        if (day - self.today).days > EXACT_DAYS or (self._is_far and day != self.expected):
            return format_date(day, "F" if day.year == self.today.year else "F Y")
        # A range has a weekday on both sides or on none.
        has_weekday = (self.latest - self.today).days <= WEEKDAY_NAME_DAYS
        return format_date(day, "D j M" if has_weekday else "j M")


def forecast(days: Sequence[tuple[date, int]], available: int, today: date) -> Forecast | None:
    """When a pool will be empty, from the keys that it handed out in the last four weeks.

    The demand of a future day is the mean of the same weekday, or of all days if fewer than two weeks are known.
    The range takes into account how much days and weeks differ, and how few keys the means rest on.

    Args:
        days: the number of keys handed out per day (UTC), in any order, with the days without any. Days on which the
            pool was empty must not be among them: they would make the rate too low. Today may be.
        available: the number of available keys.

    Returns:
        None if the pool is empty, or handed out no key in these four weeks.
    """
    first = today - timedelta(days=FORECAST_DAYS)
    counts = dict(days)
    past = sorted((day, count) for day, count in counts.items() if first <= day < today)
    # A pool of today has no other day to learn from.
    past = past or [(day, count) for day, count in counts.items() if day == today]
    total = sum(count for _, count in past)
    if available <= 0 or total <= 0:
        return None
    rates = _rates_per_weekday(past)
    dispersion = _dispersion(past, rates)
    low, high = _bounds_of_demand(available, dispersion, _relative_error(past, dispersion) ** 2)
    left_today = max(rates[today.weekday()] - counts.get(today, 0), 0)

    def day_of_demand(demand: float) -> date:
        return today + timedelta(days=_days_until(demand, rates, left_today, today.weekday()))

    return Forecast(today, day_of_demand(low), day_of_demand(available), day_of_demand(high))


def _rates_per_weekday(past: Sequence[tuple[date, int]]) -> list[float]:
    """The mean number of keys handed out on a Monday, a Tuesday, ..."""
    if len(past) < WEEKDAY_DAYS:
        return [sum(count for _, count in past) / len(past)] * 7
    groups: list[list[int]] = [[] for _ in range(7)]
    for day, count in past:
        groups[day.weekday()].append(count)
    return [sum(group) / max(len(group), 1) for group in groups]


def _dispersion(past: Sequence[tuple[date, int]], rates: Sequence[float]) -> float:
    """By how much days differ from their rates: variance / mean. At least 1, that of independent orders of one key."""
    freedom = len(past) - (7 if len(past) >= WEEKDAY_DAYS else 1)
    if freedom <= 0:
        return 1
    squares = sum((count - rates[day.weekday()]) ** 2 for day, count in past)
    return max(squares / freedom / (sum(count for _, count in past) / len(past)), 1)


def _relative_error(past: Sequence[tuple[date, int]], dispersion: float) -> float:
    """The standard error of the mean rate, relative to it. Weeks that differ, as when sales grow, make it larger."""
    error = dispersion / sum(count for _, count in past)
    number = len(past) // 7
    if number >= 2:
        counts = [count for _, count in past][-7 * number :]
        weeks = [sum(counts[start : start + 7]) for start in range(0, len(counts), 7)]
        mean = sum(weeks) / number
        if mean:
            error = max(error, sum((week - mean) ** 2 for week in weeks) / (number - 1) / number / mean**2)
    return sqrt(error)


def _bounds_of_demand(available: int, dispersion: float, error: float) -> tuple[float, float]:
    """The mean demands at which the real demand may have reached the available keys, early and late.

    A mean demand m has the variance dispersion * m + error * m². The bounds are the roots of
    (available - m)² = SPREAD² * (dispersion * m + error * m²).
    """
    square, linear = 1 - SPREAD**2 * error, 2 * available + SPREAD**2 * dispersion
    root = sqrt(linear**2 - 4 * square * available**2)
    # This form of the smaller root also holds where `square` is 0 or negative: then there is no later bound.
    low = 2 * available**2 / (linear + root)
    return low, (linear + root) / (2 * square) if square > 1e-9 else float("inf")


def _days_until(demand: float, rates: Sequence[float], left_today: float, weekday: int) -> int:
    """After how many days the rates add up to a demand. At most HORIZON_DAYS + 1."""
    demand -= left_today
    week = sum(rates)
    if demand / week * 7 > HORIZON_DAYS:
        return HORIZON_DAYS + 1
    weeks = max(int(demand / week) - 1, 0)  # one less: rounding must not skip the day
    demand -= weeks * week
    days = 7 * weeks
    while demand > 1e-6:
        days += 1
        demand -= rates[(weekday + days) % 7]
    return min(days, HORIZON_DAYS + 1)
