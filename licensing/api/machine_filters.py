"""Filters of the lists of machines, components and processes (contract: machines 4.2, 8.3, 9.4).

A value that cannot be parsed matches nothing.
"""

from django.utils import timezone

from keygen_site.db.metadata import METADATA_FILTER_HELP
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import EnumFilter, FilterSet, IdFilter, MetadataFilter, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from licensing.api.filters import OwnerFilter, find_user_ids
from licensing.models import Component, License, Machine, Process
from licensing.models.machine_queries import licenses_of_users


class FingerprintFilter(QueryFilter):
    """Machines with exactly this fingerprint."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.with_fingerprint(value)


class KeyFilter(QueryFilter):
    """Machines of the license with this key."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.filter(license__in=License.objects.with_key(value).values("pk"))


class PolicyFilter(IdFilter):
    """Machines of licenses under a policy.

    No index has them in the order of the list: each ping would write it too. Those of a policy with few licenses are
    found by these. Otherwise the database walks through the account's machines, of which many are the policy's; of
    300,000 that took 250 ms for a policy with none.
    """

    MAX_LICENSES = 1_000

    def narrow(self, queryset: Rows, value: str) -> Rows:
        licenses = License.objects.filter(policy=parse_uuid(value)).order_by().values_list("pk", flat=True)
        few = list(licenses[: self.MAX_LICENSES + 1])
        if len(few) <= self.MAX_LICENSES:
            return queryset.filter(license__in=few)
        return super().narrow(queryset, value)


class HeartbeatFilter(EnumFilter):
    """Machines or processes that are alive or dead. A machine that has not started counts as alive."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.with_status(value.upper(), timezone.now())


class LicenseHolderFilter(QueryFilter):
    """Rows of licenses that a user, given by id or email, owns or is attached to.

    The path to the license is the field's name.
    """

    def narrow(self, queryset: Rows, value: str) -> Rows:
        users = find_user_ids(value, self.parent.request.user)
        return queryset.filter(**{f"{self.field_name}__in": licenses_of_users(users)})


_FINGERPRINT = "Only the machines with this fingerprint."
_PRODUCT = "Only those of licenses of this product."
_LICENSE = "Only those of this license."
_USER = "Only those of licenses that this user owns or is attached to, by id or email."
_STATUS = "Only those that are alive, or dead. A machine that has not started counts as alive."


class MachineFilterSet(FilterSet):
    """Filters that every list of machines has."""

    fingerprint = FingerprintFilter(help_text=_FINGERPRINT)

    class Meta:
        model = Machine
        fields: list[str] = []


class LicenseMachineFilterSet(MachineFilterSet):
    """Filters of `GET /licenses/:id/machines`."""

    product = IdFilter("product", _PRODUCT)
    user = LicenseHolderFilter("license", _USER)


class ProductMachineFilterSet(MachineFilterSet):
    """Filters of `GET /products/:id/machines`."""

    license = IdFilter("license", _LICENSE)
    user = LicenseHolderFilter("license", _USER)


class UserMachineFilterSet(MachineFilterSet):
    """Filters of `GET /users/:id/machines`."""

    product = IdFilter("product", _PRODUCT)
    license = IdFilter("license", _LICENSE)


class AllMachineFilterSet(MachineFilterSet):
    """Filters of `GET /machines`."""

    ip = QueryFilter("ip", "Only machines with this IP address.")
    hostname = QueryFilter("hostname", "Only machines with this host name.")
    status = HeartbeatFilter("alive", "dead", help_text=_STATUS)
    license = IdFilter("license", _LICENSE)
    key = KeyFilter(help_text="Only machines of the license with this key.")
    product = IdFilter("product", _PRODUCT)
    policy = PolicyFilter("license__policy", "Only machines of licenses under this policy.")
    owner = OwnerFilter(help_text="Only machines whose owner is this user, by id or email.")
    user = LicenseHolderFilter("license", _USER)
    group = IdFilter("group", "Only machines of this group.")
    metadata = MetadataFilter(help_text=METADATA_FILTER_HELP)


class PartFilterSet(FilterSet):
    """Filters of the lists of components and of processes."""

    product = IdFilter("machine__product", _PRODUCT)
    machine = IdFilter("machine", "Only those of this machine.")
    license = IdFilter("machine__license", _LICENSE)
    owner = IdFilter("machine__owner", "Only those of machines whose owner is this user.")
    user = LicenseHolderFilter("machine__license", _USER)


class ComponentFilterSet(PartFilterSet):
    """Filters of `GET /components`."""

    class Meta:
        model = Component
        fields: list[str] = []


class MachineProcessFilterSet(FilterSet):
    """Filters of `GET /machines/:id/processes`."""

    status = HeartbeatFilter("alive", "dead", help_text=_STATUS)

    class Meta:
        model = Process
        fields: list[str] = []


class ProcessFilterSet(PartFilterSet, MachineProcessFilterSet):
    """Filters of `GET /processes`."""

    class Meta:
        model = Process
        fields: list[str] = []
