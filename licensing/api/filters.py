"""Filters of the lists of policies and licenses (contract: keys 1.3, 1.4, 4; licenses 5.2).

What is blank, or sent in another shape than the filter has, does not filter; what cannot be read matches nothing.
"""

import re
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django_filters import rest_framework as filters

from accounts.models import User
from keygen_site.db.metadata import METADATA, filter_metadata
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.filters import IdFilter
from keygen_site.jsonapi.operations import FLAG, OBJECT, Parameter, choice
from keygen_site.jsonapi.request_documents import parse_time
from licensing.durations import seconds_of
from licensing.models import License, LicenseUser, Policy

_PRODUCT = "Only those of this product."
_POLICY = "Only those under this policy."
_USER = "Only those that this user owns or is attached to, by id or e-mail."
FALSE = ("0", "f", "F", "false", "FALSE", "off", "OFF")
COMPARISONS = {
    "eq": int.__eq__,
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


class FlagFilter(filters.CharFilter):
    """Rows whose field is true, or false for one of `FALSE`; a blank value does not filter."""

    def filter(self, queryset, value):
        return queryset.filter(**{self.field_name: value not in FALSE}) if value else queryset


class LicenseUserFilter(filters.CharFilter):
    """Licenses that a user, named by id or e-mail, owns or is attached to."""

    def filter(self, queryset, value):
        if not value:
            return queryset
        users = _named(value)
        attached = LicenseUser.objects.filter(user__in=users).values("license")
        return queryset.filter(Q(owner__in=users) | Q(pk__in=attached))


class OwnerFilter(filters.CharFilter):
    """Licenses that a user, named by id or e-mail, owns."""

    def filter(self, queryset, value):
        return queryset.filter(owner__in=_named(value)) if value else queryset


def _named(identifier):
    uuid = parse_uuid(identifier)
    # Another account's people have no licenses here, so theirs need not be told apart.
    return User.objects.filter(Q(pk=uuid) if uuid else Q(email=identifier.lower())).values("pk")


class NothingFilter(filters.CharFilter):
    """Licenses that have something that there is not yet: none."""

    def filter(self, queryset, value):
        return queryset.none() if value else queryset


class PolicyFilterSet(filters.FilterSet):
    """Filters of `GET /policies`."""

    product = IdFilter("product")
    parameters = {"product": _PRODUCT}

    class Meta:
        model = Policy
        fields = []


class LicenseFilterSet(filters.FilterSet):
    """Filters that every list of licenses has."""

    suspended = FlagFilter("suspended")
    parameters: dict[str, Parameter | str] = {
        "suspended": Parameter("Only those that are suspended, or are not.", FLAG),
    }

    class Meta:
        model = License
        fields = []


class PolicyLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /policies/:id/licenses`."""

    product = IdFilter("product")
    user = LicenseUserFilter()
    parameters = LicenseFilterSet.parameters | {"product": _PRODUCT, "user": _USER}


class ProductLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /products/:id/licenses`."""

    policy = IdFilter("policy")
    user = LicenseUserFilter()
    parameters = LicenseFilterSet.parameters | {"policy": _POLICY, "user": _USER}


class UserLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /users/:id/licenses`."""

    product = IdFilter("product")
    policy = IdFilter("policy")
    parameters = LicenseFilterSet.parameters | {"product": _PRODUCT, "policy": _POLICY}


class AllLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /licenses`."""

    product = IdFilter("product")
    policy = IdFilter("policy")
    owner = OwnerFilter()
    user = LicenseUserFilter()
    group = NothingFilter()
    machine = NothingFilter()
    parameters = LicenseFilterSet.parameters | {
        "product": _PRODUCT,
        "policy": _POLICY,
        "owner": "Only those that this user owns, by id or e-mail.",
        "user": _USER,
        "group": "Only those of this group: none, for there are no groups.",
        "machine": "Only those of this machine: none, for there are no machines.",
        "status": Parameter(
            "Only those of this status.",
            choice("active", "inactive", "expiring", "expired", "suspended", "banned"),
        ),
        "expired": Parameter("Only those that have expired, or have not.", FLAG),
        "expiring": Parameter("Only those that expire within three days, or do not.", FLAG),
        "assigned": Parameter("Only those that somebody owns or is attached to, or nobody.", FLAG),
        "unassigned": Parameter("The opposite of `assigned`.", FLAG),
        "activated": Parameter("Only those with machines, or without; there are none.", FLAG),
        "expires[within]": "Only those that expire within this time from now, e.g. `30d` or `P1M`; also `[in]`.",
        "expires[before]": "Only those that will expire before this moment; also `[after]`, `[on]`.",
        "expired[within]": "Only those that expired within this time until now; also `[in]`.",
        "expired[before]": "Only those that expired before this moment; also `[after]`, `[on]`.",
        "activity[inside]": "Only those of which something was heard within this time until now; also `[outside]`.",
        "activity[before]": "Only those of which nothing was heard since this moment; also `[after]`.",
        "activations[gte]": "Only those with as many machines, of which there are none; also `[eq]`, `[gt]`, `[lt]`, …",
        "metadata": Parameter(METADATA, OBJECT, "deepObject"),
    }

    def filter_queryset(self, queryset):
        queryset = super().filter_queryset(queryset)
        for name, apply in _FLAGS.items():
            if value := self.data.get(name):
                queryset = apply(queryset, value not in FALSE)
        for name, apply in _MOMENTS.items():
            queryset = apply(queryset, self._parts(name))
        if status := self.data.get("status"):
            queryset = queryset.with_status(status.upper())
        return filter_metadata(queryset, self.data)

    def _parts(self, name):
        """What the query says of a filter with parts: `expires[within]=30d` is `{"within": "30d"}`."""
        prefix = f"{name}["
        return {key[len(prefix) : -1]: value for key, value in self.data.items() if key.startswith(prefix) and value}


def _expired(queryset, wanted):
    past = Q(expiry__isnull=False, expiry__lt=timezone.now())
    return queryset.filter(past) if wanted else queryset.exclude(past)


def _expiring(queryset, wanted):
    expiring = License.objects.expiring()
    return queryset.expiring() if wanted else queryset.exclude(pk__in=expiring.values("pk"))


def _assigned(queryset, wanted):
    return queryset.assigned() if wanted else queryset.exclude(pk__in=License.objects.assigned().values("pk"))


# Filters that are true or false.
_FLAGS = {
    "expired": _expired,
    "expiring": _expiring,
    "assigned": _assigned,
    "unassigned": lambda queryset, wanted: _assigned(queryset, not wanted),
    "activated": lambda queryset, wanted: queryset.none() if wanted else queryset,  # there are no machines
}


def _expired_when(queryset, parts):
    return _by_expiry(queryset, parts, until=timezone.now())


def _expires_when(queryset, parts):
    return _by_expiry(queryset, parts, since=timezone.now())


def _by_expiry(queryset, parts, since=None, until=None):
    """Licenses that expire `since` now, or did `until` now, as the first part says that there is."""
    if not parts:
        return queryset
    kind = _first(parts, "within", "in", "before", "after", "on")
    if kind in ("within", "in"):
        lasting = _duration(parts[kind])
        if lasting is None:
            return queryset.none()
        moments = (since, _shifted(since, lasting)) if since else (_shifted(until, -lasting), until)
        return queryset.filter(expiry__gte=moments[0], expiry__lte=moments[1])
    moment = kind and _moment(parts[kind])
    if not moment:
        return queryset.none()
    if kind == "on":
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(expiry__gte=day, expiry__lt=_shifted(day, timedelta(days=1)))
    queryset = queryset.filter(expiry__gte=since) if since else queryset.filter(expiry__lt=until)
    return queryset.filter(**{"expiry__lt" if kind == "before" else "expiry__gt": moment})


def _active_when(queryset, parts):
    if not parts:
        return queryset
    kind = _first(parts, "inside", "outside", "before", "after")
    if kind in ("inside", "outside"):
        lasting = _duration(parts[kind])
        moment = None if lasting is None else _shifted(timezone.now(), -lasting)
    else:
        moment = kind and _moment(parts[kind])
    if not moment:
        return queryset.none()
    return queryset.active_since(moment) if kind in ("inside", "after") else queryset.inactive_since(moment)


def _activated_times(queryset, parts):
    """Licenses by the number of their machines; there are none, so it is about the number 0."""
    if not parts:
        return queryset
    kind = _first(parts, *COMPARISONS)
    number = parts.get(kind, "")
    fits = re.fullmatch(r"-?\d{1,18}", number, re.ASCII) and COMPARISONS[kind](0, int(number))
    return queryset if fits else queryset.none()


# Filters with parts in brackets, of which the first one counts.
_MOMENTS = {
    "expired": _expired_when,
    "expires": _expires_when,
    "activity": _active_when,
    "activations": _activated_times,
}


def _first(parts, *names):
    return next((name for name in names if name in parts), None)


def _duration(text):
    seconds = seconds_of(text)
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except OverflowError:
        return timedelta.max


def _moment(text):
    try:
        return parse_time(text)
    except BadRequest:
        return None


def _shifted(moment, lasting):
    """A moment later or earlier, but within the calendar."""
    try:
        return moment + lasting
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if lasting > timedelta() else datetime.min.replace(tzinfo=UTC)
