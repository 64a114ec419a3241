"""Durations by the calendar (contract: licenses 3.5)."""

import re
from calendar import monthrange
from datetime import timedelta

YEAR, MONTH = 31_556_952, 2_629_746  # seconds, on average
# A duration by ISO 8601, of which the leading P, and the T before hours, are often left out.
_ISO = re.compile(
    r"P?(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T?(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE | re.ASCII,
)
_SECONDS = (YEAR, MONTH, 604_800, 86_400, 3_600, 60, 1)


def seconds_of(text):
    """The seconds of a duration as a query says it, e.g. `86400`, `30d` or `P13DT59M59S`; None where it is none."""
    if re.fullmatch(r"\d{1,20}", text, re.ASCII):
        return int(text)
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(int(count) * seconds for count, seconds in zip(match.groups("0"), _SECONDS, strict=True))


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
