"""Timestamps in requests, in the forms in which programming languages print them (contract: licenses 0.2).

A text that may be read in two ways, such as `01/02/2030`, is not read at all, nor is a day that does not exist.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from django.utils.dateparse import parse_date, parse_datetime

_DAY_NAME = r"(?:[a-z]{3,9},?\ +)?"
_TIME = r"""
    (?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6})\d*)?)?
    \ *(?P<half>am|pm)?
"""
# `UTC`, `+0200`, `GMT+0200 (CEST)`, `+0100 CET`, `[Europe/Rome]` after an offset.
_ZONE = r"""
    (?:\ *(?P<zone>z|[a-z]{2,4})(?![a-z]))?
    (?:\ *(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?(?:\ +(?:[a-z]{2,5}|[+-]\d\d(?:\d\d)?))?)?
    (?:\ *\([^()]*\)|\[[\w/+-]+\])?
"""
_FORMS = [
    re.compile(form, re.VERBOSE | re.IGNORECASE | re.ASCII)
    for form in (
        # 2030-01-02T10:00:00Z, 2030/01/02 10:00:00 UTC
        rf"(?P<year>\d{{4}})([-/])(?P<month>\d\d?)\2(?P<day>\d\d?)(?:(?:t|\ +){_TIME}{_ZONE})?",
        # Wed, 02 Jan 2030 10:00:00 GMT; 2 January 2030
        rf"{_DAY_NAME}(?P<day>\d\d?)(?:\ +|-)(?P<name>[a-z]{{3,9}})\.?(?:\ +|-)(?P<year>\d{{4}})"
        rf"(?:,?\ +{_TIME}{_ZONE})?",
        # Wednesday, 02-Jan-30 10:00:00 GMT
        rf"[a-z]{{3,9}},\ +(?P<day>\d\d)-(?P<name>[a-z]{{3}})-(?P<short_year>\d\d)\ +{_TIME}{_ZONE}",
        # Wed Jan 02 2030 10:00:00 GMT+0200 (CEST); Jan 2, 2030
        rf"{_DAY_NAME}(?P<name>[a-z]{{3,9}})\.?\ +(?P<day>\d\d?)(?:,\ *|\ +)(?P<year>\d{{4}})"
        rf"(?:,?\ +{_TIME}{_ZONE})?",
        # Wed Jan  2 10:00:00 UTC 2030
        rf"{_DAY_NAME}(?P<name>[a-z]{{3,9}})\ +(?P<day>\d\d?)\ +{_TIME}{_ZONE}\ +(?P<year>\d{{4}})",
    )
]
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
# In hours: the names of RFC 2822, and those that Java and `date` print in other parts of the world.
_ZONES = {
    **dict.fromkeys(("z", "ut", "utc", "gmt", "wet"), 0),
    **{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7},
    **{
        "nst": -3.5,
        "ndt": -2.5,
        "ast": -4,
        "adt": -3,
        "akst": -9,
        "akdt": -8,
        "hst": -10,
        "art": -3,
        "brt": -3,
        "clt": -4,
    },
    **dict.fromkeys(("bst", "cet", "met", "mez", "wat", "west"), 1),
    **dict.fromkeys(("cat", "cest", "eet", "mest", "mesz", "sast"), 2),
    **{"eat": 3, "eest": 3, "msk": 3, "ist": 5.5, "sgt": 8, "jst": 9, "kst": 9, "nzst": 12, "nzdt": 13},
}


def of_seconds(seconds: int) -> datetime:
    """The timestamp of a number of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def parse(text: str) -> datetime:
    """The timestamp that a text states, in UTC unless it has an offset.

    Raises:
        ValueError, OverflowError: the text is not a timestamp.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text):
        return of_seconds(int(text))
    return (_parse_iso(text) or _parse_form(text)).astimezone(UTC)


def _parse_iso(text: str) -> datetime | None:
    try:
        time = parse_datetime(text)
        if time is None and (day := parse_date(text)):
            time = datetime.combine(day, datetime.min.time())
    except ValueError:
        return None
    return time and (time if time.tzinfo else time.replace(tzinfo=UTC))


def _parse_form(text: str) -> datetime:
    match = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if match is None:
        raise ValueError(text)
    part = match.groupdict()
    month = int(part["month"]) if "month" in part else _parse_month(part["name"])
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    microsecond = int((part["fraction"] or "").ljust(6, "0"))
    if part["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if part["half"].lower() == "pm" else 0)
    if (hour, minute, second) > (24, 0, 0) or minute > 59 or second > 60:
        raise ValueError(text)
    year = int(part["year"]) if "year" in part else _century(int(part["short_year"]))
    day = datetime(year, month, int(part["day"]), tzinfo=_parse_zone(part))
    return day + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _century(year: int) -> int:
    """The full year of two digits (POSIX): 1969 to 2068."""
    return year + (2000 if year < 69 else 1900)


def _parse_month(name: str) -> int:
    names = [month for month in _MONTHS if name.lower() in (month, month[:3])]
    if not names:
        raise ValueError(name)
    return _MONTHS.index(names[0]) + 1


def _parse_zone(part: dict[str, str | None]) -> timezone:
    hours = _ZONES.get((part["zone"] or "z").lower())
    if hours is None:
        raise ValueError(part["zone"])
    offset = timedelta(hours=hours)
    if part["hours"]:
        given = timedelta(hours=int(part["hours"]), minutes=int(part["minutes"] or 0))
        offset += -given if part["sign"] == "-" else given
    return timezone(offset)
