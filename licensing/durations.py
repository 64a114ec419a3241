"""Calendar durations (contract: licenses 3.5)."""

import re
from calendar import monthrange
from datetime import datetime, timedelta

# Seconds; a year and a month on average.
YEAR, MONTH, WEEK, DAY, HOUR, MINUTE = 31_556_952, 2_629_746, 604_800, 86_400, 3_600, 60
# An ISO 8601 duration. Clients often leave out the leading P, and the T before the hours.
_ISO = re.compile(
    r"P?(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T?(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = (YEAR, MONTH, WEEK, DAY, HOUR, MINUTE, 1)


def parse_duration(text: str) -> int | None:
    """The seconds of a duration in a query, e.g. `86400`, `30d` or `P13DT59M59S`; None if it is malformed."""
    if re.fullmatch(r"\d{1,20}", text, re.ASCII):
        return int(text)
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(int(count) * seconds for count, seconds in zip(match.groups("0"), _UNITS, strict=True))


def add_duration(start: datetime, seconds: int) -> datetime:
    """A timestamp plus a duration: the calendar years and months that the duration holds, then the rest.

    2,629,746 seconds are one month, whatever its length: from the 31st of January to the 28th or 29th of February.

    Raises:
        OverflowError: the result is beyond the year 9999.
    """
    years, seconds = divmod(seconds, YEAR)
    months, seconds = divmod(seconds, MONTH)
    year, month = divmod(start.year * 12 + start.month - 1 + years * 12 + months, 12)
    if year > 9999:
        raise OverflowError(year)
    day = min(start.day, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day) + timedelta(seconds=seconds)
