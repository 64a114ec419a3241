"""Calendar durations (contract: licenses 3.5)."""

import re
from calendar import monthrange
from datetime import datetime, timedelta

# Seconds; a year and a month on average.
YEAR, MONTH, WEEK, DAY, HOUR, MINUTE = 31_556_952, 2_629_746, 604_800, 86_400, 3_600, 60
# An ISO 8601 duration, without the leading P, which clients often leave out. Its last number may have a fraction.
_NUMBER = r"(\d{1,9}(?:[.,]\d{1,9}(?=[YMWDHS]$))?)"
_ISO = re.compile(
    rf"(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
    rf"|{_NUMBER}W",
    re.IGNORECASE | re.ASCII,
)
_UNITS = (YEAR, MONTH, DAY, HOUR, MINUTE, 1, WEEK)


def parse_duration(text: str) -> int | None:
    """The seconds of a duration in a query, e.g. `86400`, `30d` or `P13DT59M59S`; None if it is malformed."""
    if re.fullmatch(r"\d{1,20}", text, re.ASCII):
        return int(text)
    match = _ISO.fullmatch(text.removeprefix("P"))
    if match is None or not any(match.groups()):
        return None
    numbers = (float(number.replace(",", ".")) for number in match.groups("0"))
    return int(sum(number * seconds for number, seconds in zip(numbers, _UNITS, strict=True)))


def add_duration(start: datetime, seconds: int) -> datetime:
    """A timestamp plus a duration: the calendar years and months that the duration holds, then the rest.

    2,629,746 seconds are one calendar month of any length: from the 31st of January to the 28th or 29th of February.

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
