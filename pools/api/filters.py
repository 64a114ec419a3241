"""Filters of keys and the ledger."""

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import EnumFilter, FilterSet, IdFilter, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from pools.models import Key, KeyEvent


class PoolFilter(IdFilter):
    """Keys of a policy, read along the index of its pool."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        return queryset.for_policy(uuid) if uuid else queryset.none()  # type: ignore[attr-defined]


class KeyFilterSet(FilterSet):
    """Filters of `GET /keys` (contract: keys 4)."""

    product = IdFilter("policy__product", "Only keys of this product.")
    policy = PoolFilter("policy", "Only keys of this policy.")

    class Meta:
        model = Key
        fields: list[str] = []


class KeyEventFilterSet(FilterSet):
    """Filters of the ledger."""

    policy = IdFilter("policy", "Only events of keys of this policy.")
    license = IdFilter("license", "Only events about this license.")
    reference = QueryFilter("reference", "Only events with this `Keygen-Reference`.")
    event = EnumFilter(*KeyEvent.Event.values, field_name="event", help_text="Only events of this kind.")

    class Meta:
        model = KeyEvent
        fields: list[str] = []
