"""Filters of the lists of policies and licenses (contract: keys 1.3, 1.4, 4; licenses 5.2)."""

from django.db.models import Q
from django_filters import rest_framework as filters

from accounts.models import User
from keygen_site.filters import IdFilter
from keygen_site.ids import as_uuid
from licensing.models import License, LicenseUser, Policy

FALSE = ("0", "f", "F", "false", "FALSE", "off", "OFF")


class FlagFilter(filters.CharFilter):
    """Rows whose field is true, or false for one of `FALSE`; a blank value does not filter."""

    def filter(self, queryset, value):
        return queryset.filter(**{self.field_name: value not in FALSE}) if value else queryset


class LicenseUserFilter(filters.CharFilter):
    """Licenses that a user, named by id or e-mail, owns or is attached to."""

    def filter(self, queryset, value):
        if not value:
            return queryset
        uuid = as_uuid(value)
        # Another account's people have no licenses here, so theirs need not be told apart.
        users = User.objects.filter(Q(pk=uuid) if uuid else Q(email=value.lower())).values("pk")
        attached = LicenseUser.objects.filter(user__in=users).values("license")
        return queryset.filter(Q(owner__in=users) | Q(pk__in=attached))


class PolicyFilterSet(filters.FilterSet):
    """Filters of `GET /policies`."""

    product = IdFilter("product")

    class Meta:
        model = Policy
        fields = []


class LicenseFilterSet(filters.FilterSet):
    """Filters that every list of licenses has."""

    user = LicenseUserFilter()
    suspended = FlagFilter("suspended")

    class Meta:
        model = License
        fields = []


class AllLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /licenses`."""

    product = IdFilter("product")
    policy = IdFilter("policy")


class PolicyLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /policies/:id/licenses`."""

    product = IdFilter("product")


class ProductLicenseFilterSet(LicenseFilterSet):
    """Filters of `GET /products/:id/licenses`."""

    policy = IdFilter("policy")
