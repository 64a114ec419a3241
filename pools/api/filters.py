from django_filters import rest_framework as filters

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import IdFilter
from keygen_site.jsonapi.operations import Parameter, choice
from pools.models import Key, KeyEvent


class PoolFilter(IdFilter):
    """Keys of a policy, along the index of its pool."""

    def filter(self, queryset, value):
        uuid = parse_uuid(value)
        return queryset.for_policy(uuid) if uuid else super().filter(queryset, value)


class KeyFilterSet(filters.FilterSet):
    """Filters of `GET /keys` (contract: keys 4)."""

    product = IdFilter("policy__product")
    policy = PoolFilter("policy")
    parameters = {"product": "Only those of this product.", "policy": "Only those of this policy."}

    class Meta:
        model = Key
        fields = []


class KeyEventFilterSet(filters.FilterSet):
    """Filters of the ledger."""

    policy = IdFilter("policy")
    license = IdFilter("license")
    reference = filters.CharFilter("reference")
    event = filters.CharFilter("event")
    parameters = {
        "policy": "Only those of keys of this policy.",
        "license": "Only those about this license.",
        "reference": "Only those with this `Keygen-Reference`.",
        "event": Parameter("Only those of this kind.", choice(*KeyEvent.Event.values)),
    }

    class Meta:
        model = KeyEvent
        fields = []
