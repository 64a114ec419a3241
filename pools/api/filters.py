"""Filters of keys and the ledger."""

from datetime import timedelta

from keygen_site.db.conditions import bounded
from keygen_site.db.uuids import parse_uuid, uuid7_floor
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.filters import EnumFilter, FilterSet, IdFilter, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.types import parse_time
from pools.models import Key, KeyEvent
from pools.models.key_events import RARE_EVENTS

# Between the time in an id and `created` of the same row, which are read one after the other.
CLOCK_MARGIN = timedelta(minutes=1)


class PoolFilter(IdFilter):
    """Keys of a policy, or events of its keys. Uses the index by policy and id."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        return queryset.for_policy(uuid) if uuid else queryset.none()


class KeyFilterSet(FilterSet):
    """Filters of `GET /keys` (contract: keys 4)."""

    product = IdFilter("policy__product", "Only keys of this product.")
    policy = PoolFilter("policy", "Only keys of this policy.")

    class Meta:
        model = Key
        fields: list[str] = []


class TimeFilter(QueryFilter):
    """Events since or until a time. Their ids begin with their time, and the indexes are in the order of ids."""

    schema = {"type": "string", "format": "date-time"}

    def narrow(self, queryset: Rows, value: str) -> Rows:
        try:
            time = parse_time(value, "")
        except BadRequest as error:
            raise BadRequest(error.detail, parameter=self.name) from None
        lookup = self.lookup_expr
        margin = CLOCK_MARGIN if lookup == "lt" else -CLOCK_MARGIN
        try:
            bound = uuid7_floor(time + margin)
        except OverflowError:  # the first or last minute of the calendar
            bound = uuid7_floor(time)
        return bounded(queryset.filter(**{f"created__{lookup}": time}), lookup, bound)


class EventFilter(EnumFilter):
    """Events of a kind. Uses the partial index of rare events where possible.

    `rare()` has the kinds as literals: the generic plan of a prepared statement cannot use the index for a parameter.
    """

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return super().narrow(queryset.rare() if value in RARE_EVENTS else queryset, value)


class KeyEventFilterSet(FilterSet):
    """Filters of the ledger."""

    policy = PoolFilter("policy", "Only events of keys of this policy.")
    license = IdFilter("license", "Only events about this license.")
    reference = QueryFilter("reference", "Only events with this `Keygen-Reference`.")
    bearer = IdFilter("bearer_id", "Only events caused by this user, product or license.")
    token = IdFilter("token_id", "Only events caused with this token.")
    since = TimeFilter("created", "Only events of this time or later.", lookup_expr="gte")
    until = TimeFilter("created", "Only events before this time.", lookup_expr="lt")
    event = EventFilter(*KeyEvent.Event.values, field_name="event", help_text="Only events of this kind.")

    class Meta:
        model = KeyEvent
        fields: list[str] = []
