from django_filters import rest_framework as filters

from keygen_site.filters import IdFilter
from pools.models import Key, KeyEvent


class KeyFilterSet(filters.FilterSet):
    """Filters of `GET /keys` (contract: keys 4)."""

    product = IdFilter("policy__product")
    policy = IdFilter("policy")

    class Meta:
        model = Key
        fields = []


class KeyEventFilterSet(filters.FilterSet):
    """Filters of the ledger."""

    policy = IdFilter("policy")
    license = IdFilter("license")
    reference = filters.CharFilter("reference")
    event = filters.CharFilter("event")

    class Meta:
        model = KeyEvent
        fields = []
