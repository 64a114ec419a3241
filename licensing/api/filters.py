"""Filters of the lists of policies and licenses (contract: keys 1.3, 1.4, 4; licenses 5.2).

A value that cannot be parsed matches nothing.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.bearers import Bearer
from accounts.models import User
from keygen_site.db.metadata import METADATA_FILTER_HELP
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.filters import (
    BooleanFilter,
    EnumFilter,
    FilterSet,
    IdFilter,
    MetadataFilter,
    PartsFilter,
    QueryFilter,
    parse_boolean,
)
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.operations import BOOLEAN, Parameter
from keygen_site.jsonapi.text import leading_integer
from keygen_site.jsonapi.types import parse_time
from licensing.durations import parse_duration
from licensing.models import License, Policy

COMPARISONS = ("eq", "gt", "gte", "lt", "lte")
MAX_COUNT = 2**31 - 1  # more machines than a license can have


# Filters by users -----------------------------------------------------------------------------------------------------


def find_user_ids(identifier: str, bearer: Bearer) -> Rows:
    """The ids of the users with an id, or of those whom a bearer may see with an email.

    A license shows the id of its owner to all who see the license, but an email could be guessed.
    """
    # Users of other accounts have no licenses here, so the account does not matter.
    if uuid := parse_uuid(identifier):
        return User.objects.filter(pk=uuid).values("pk")
    return User.objects.visible_to(bearer).filter(email=identifier.lower()).values("pk")


class OwnerFilter(QueryFilter):
    """Licenses that a user, given by id or email, owns."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.filter(owner__in=find_user_ids(value, self.parent.request.user))


class LicenseUserFilter(QueryFilter):
    """Licenses that a user, given by id or email, owns or is attached to."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.for_users(find_user_ids(value, self.parent.request.user))


# Filters by time ------------------------------------------------------------------------------------------------------


class ExpiryFilter(PartsFilter):
    """Licenses that will expire at some time, or expired then. Of several parts the first in `PARTS` counts."""

    PARTS = ("within", "in", "before", "after", "on")
    past = False  # whether the filter is about expiries in the past

    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        now = timezone.now()
        part = _first(self.PARTS, given)
        if self.past:
            queryset = queryset.filter(expiry__lt=now)
        if part in ("within", "in"):
            duration = _parse_timedelta(given[part])
            if duration is None:
                return queryset.none()
            start, end = (_shift(now, -duration), now) if self.past else (now, _shift(now, duration))
            return queryset.filter(expiry__gte=start, expiry__lte=end)
        if part == "on":
            day = _parse_day(given[part])
            if day is None:
                return queryset.none()
            return queryset.filter(expiry__gte=day, expiry__lt=_shift(day, timedelta(days=1)))
        timestamp = _parse_timestamp(given[part]) if part else None
        if timestamp is None:
            return queryset.none()
        if not self.past:
            queryset = queryset.filter(expiry__gte=now)
        # The bounds are inclusive, and responses show milliseconds.
        timestamp = timestamp.replace(microsecond=timestamp.microsecond // 1000 * 1000)
        if part == "before":
            return queryset.filter(expiry__lt=_shift(timestamp, timedelta(milliseconds=1)))
        return queryset.filter(expiry__gte=timestamp)


class ExpiredFilter(ExpiryFilter):
    """Licenses that expired at some time; as a boolean, licenses that have expired, or have not.

    An unknown part, and `expired[]`, count as true.
    """

    past = True

    def filter(self, queryset: Rows, value: str) -> Rows:
        if not value.strip() and self.parent.data.get("expired[]", "").strip():
            value = "true"
        if value.strip():
            expired = Q(expiry__isnull=False, expiry__lt=timezone.now())
            queryset = queryset.filter(expired) if parse_boolean(value) else queryset.exclude(expired)
        return super().filter(queryset, value)

    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        if _first(self.PARTS, given) is None:
            return queryset.filter(expiry__lt=timezone.now())
        return super().narrow_by(queryset, given)

    def describe(self, name: str) -> dict[str, Parameter]:
        return {name: Parameter(self.extra["help_text"], BOOLEAN)} | super().describe(name)


class ActivityFilter(PartsFilter):
    """Licenses by their last activity, without those of banned owners. Of several parts the first in `PARTS` counts."""

    PARTS = ("inside", "outside", "before", "after")

    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        part = _first(self.PARTS, given)
        timestamp = None
        if part in ("inside", "outside"):
            duration = _parse_timedelta(given[part])
            timestamp = None if duration is None else _shift(timezone.now(), -duration)
        elif part:
            timestamp = _parse_timestamp(given[part])
        if timestamp is None:
            return queryset.none()
        queryset = queryset.filter(owner__banned=None)
        if part in ("inside", "after"):
            return queryset.active_since(timestamp)
        return queryset.inactive_since(timestamp)


def _first(parts: Iterable[str], given: dict[str, str]) -> str | None:
    return next((part for part in parts if part in given), None)


def _parse_timedelta(text: str) -> timedelta | None:
    seconds = parse_duration(text)
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except OverflowError:
        return timedelta.max


def _parse_timestamp(text: str) -> datetime | None:
    # The plus sign of an offset that is not escaped arrives as a space.
    text = re.sub(r"(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$", r"\1+\2", text)
    try:
        return parse_time(text)
    except BadRequest:
        return None


def _parse_day(text: str) -> datetime | None:
    """The start of a day in UTC. Eight digits are a date, not seconds."""
    text = text.strip()
    if re.fullmatch(r"\d{8}", text, re.ASCII):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    elif match := re.fullmatch(r"(\d\d?)\.(\d\d?)\.(\d{4})", text, re.ASCII):
        text = f"{match[3]}-{match[2]:0>2}-{match[1]:0>2}"
    timestamp = _parse_timestamp(text)
    return timestamp and timestamp.replace(hour=0, minute=0, second=0, microsecond=0)


def _shift(timestamp: datetime, duration: timedelta) -> datetime:
    """The sum, limited to the range of the calendar."""
    try:
        return timestamp + duration
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if duration > timedelta() else datetime.min.replace(tzinfo=UTC)


# Other filters --------------------------------------------------------------------------------------------------------


class StatusFilter(EnumFilter):
    """Licenses of a status. An unknown status matches nothing."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.with_status(value.upper())


class SelectionFilter(BooleanFilter):
    """Licenses that a method of the queryset selects, or the others, by its argument `wanted`.

    Args:
        selection: the name of the method.
        opposite: whether true selects the others.
    """

    def __init__(self, selection: str, *, opposite: bool = False, help_text: str) -> None:
        super().__init__(help_text=help_text)
        self.selection, self.opposite = selection, opposite

    def matching(self, queryset: Rows, wanted: bool) -> Rows:
        return getattr(queryset, self.selection)(wanted != self.opposite)


class ActivatedFilter(BooleanFilter):
    """Licenses with machines, or without."""

    def matching(self, queryset: Rows, wanted: bool) -> Rows:
        return queryset.activated(timezone.now(), wanted)


class ActivationsFilter(PartsFilter):
    """Licenses by the number of their machines. Of several parts the first in `COMPARISONS` counts.

    A text counts as the number that it begins with, or as 0.
    """

    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        part = _first(COMPARISONS, given)
        if part is None:
            return queryset.none()
        number = min(max(leading_integer(given[part]), -1), MAX_COUNT)
        lookup = "exact" if part == "eq" else part
        return queryset.with_machine_count(timezone.now()).filter(**{f"machine_count__{lookup}": number})


# Filter sets ----------------------------------------------------------------------------------------------------------

_PRODUCT = "Only licenses of this product."
_POLICY = "Only licenses under this policy."
_USER = "Only licenses that this user owns or is attached to, by id or email."


class PolicyFilterSet(FilterSet):
    """Filters of `GET /policies`."""

    product = IdFilter("product", "Only policies of this product.")

    class Meta:
        model = Policy
        fields: list[str] = []


class LicenseFilterSet(FilterSet):
    """Filters that every list of licenses has."""

    suspended = BooleanFilter("suspended", "Only licenses that are suspended, or are not.")

    class Meta:
        model = License
        fields: list[str] = []


class PolicyLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /policies/:id/licenses`."""

    product = IdFilter("product", _PRODUCT)
    user = LicenseUserFilter(help_text=_USER)


class ProductLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /products/:id/licenses`."""

    policy = IdFilter("policy", _POLICY)
    user = LicenseUserFilter(help_text=_USER)


class UserLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /users/:id/licenses`."""

    product = IdFilter("product", _PRODUCT)
    policy = IdFilter("policy", _POLICY)


class AllLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /licenses`."""

    product = IdFilter("product", _PRODUCT)
    policy = IdFilter("policy", _POLICY)
    owner = OwnerFilter(help_text="Only licenses that this user owns, by id or email.")
    user = LicenseUserFilter(help_text=_USER)
    group = IdFilter("group", "Only licenses of this group.")
    machine = IdFilter("machines", "Only the license of this machine.")
    status = StatusFilter(
        "active",
        "inactive",
        "expiring",
        "expired",
        "suspended",
        "banned",
        help_text="Only licenses of this status.",
    )
    expired = ExpiredFilter(
        {
            "within": "Only licenses that expired within this time until now; also `[in]`.",
            "before": "Only licenses that expired before this time; also `[after]`, `[on]`.",
        },
        help_text="Only licenses that have expired, or have not.",
    )
    expiring = SelectionFilter("expiring", help_text="Only licenses that expire within three days, or do not.")
    assigned = SelectionFilter(
        "assigned", help_text="Only licenses that have an owner or attached users, or have none."
    )
    unassigned = SelectionFilter("assigned", opposite=True, help_text="The opposite of `assigned`.")
    activated = ActivatedFilter(help_text="Only licenses with machines, or without.")
    expires = ExpiryFilter(
        {
            "within": "Only licenses that expire within this time from now, e.g. `30d` or `P1M`; also `[in]`.",
            "before": "Only licenses that will expire before this time; also `[after]`, `[on]`.",
        }
    )
    activity = ActivityFilter(
        {
            "inside": "Only licenses that were active within this time until now; also `[outside]`.",
            "before": "Only licenses that have not been active since this time; also `[after]`.",
        }
    )
    activations = ActivationsFilter(
        {"gte": "Only licenses with at least as many machines; also `[eq]`, `[gt]`, `[lt]`, `[lte]`."}
    )
    metadata = MetadataFilter(help_text=METADATA_FILTER_HELP)
