"""Durations by the calendar (contract: licenses 3.5)."""

from calendar import monthrange
from datetime import timedelta

YEAR, MONTH = 31_556_952, 2_629_746  # seconds, on average


def later(moment, seconds):
    """A moment plus a duration of whole seconds: as many calendar years and months as it holds, then the rest.

    2,629,746 seconds are one month, whatever its length: from the 31st of January to the 28th or 29th of February.

    Raises:
        OverflowError: that is beyond the year 9999.
    """
    years, seconds = divmod(seconds, YEAR)
    months, seconds = divmod(seconds, MONTH)
    year, month = divmod(moment.year * 12 + moment.month - 1 + years * 12 + months, 12)
    if year > 9999:
        raise OverflowError(year)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day) + timedelta(seconds=seconds)
