"""Filters of lists, by django-filter, as the contract wants them (keys 4, platform 10)."""

from django_filters import rest_framework as filters

from keygen_site.ids import as_uuid


class IdFilter(filters.CharFilter):
    """Rows whose field has this id. Text that is no id matches nothing; a blank value does not filter."""

    def filter(self, queryset, value):
        if not value:
            return queryset
        uuid = as_uuid(value)
        return queryset.filter(**{self.field_name: uuid}) if uuid else queryset.none()
