"""Filters of lists, based on django-filter, with their OpenAPI descriptions (contract: keys 4, platform 10)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from django_filters import rest_framework as filters

from keygen_site.db.metadata import filter_metadata
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.operations import BOOLEAN, TEXT, Parameter
from keygen_site.jsonapi.requests import APIRequest

# The texts in a query that mean false; any other text is true.
FALSE_TEXTS = frozenset({"0", "f", "F", "false", "FALSE", "off", "OFF"})


def parse_boolean(text: str) -> bool:
    """The boolean that a text in a query stands for."""
    return text not in FALSE_TEXTS


class FilterBackend(filters.DjangoFilterBackend):
    """Skips django-filter when the query has no filter parameter: its form takes a tenth of the CPU time of a list.

    A FilterSet that filters even then sets `applies_by_default`.
    """

    PAGING = frozenset({"limit", "page"})

    def filter_queryset(self, request: APIRequest, queryset: Rows, view: Any) -> Rows:
        names = {name.partition("[")[0] for name in request.query_params} - self.PAGING
        if not names and not getattr(getattr(view, "filterset_class", None), "applies_by_default", False):
            return queryset
        return super().filter_queryset(request, queryset, view)


class QueryFilter(filters.CharFilter):
    """Base of filters: a blank value does not filter. Blanks around a value are part of it.

    Args:
        field_name: the field to compare with; the filter's name by default.
        help_text: the description.
    """

    schema: Mapping[str, Any] = TEXT
    style = ""

    def __init__(self, field_name: str | None = None, help_text: str = "", **options: Any) -> None:
        super().__init__(field_name, help_text=help_text, strip=False, **options)

    def filter(self, queryset: Rows, value: str) -> Rows:
        return self.narrow(queryset, value) if value.strip() else queryset

    def narrow(self, queryset: Rows, value: str) -> Rows:
        """The rows that match a value that is not blank."""
        return super().filter(queryset, value)

    def describe(self, name: str) -> dict[str, Parameter]:
        """The query parameters by name, for OpenAPI."""
        return {name: Parameter(self.extra["help_text"], self.schema, self.style)}


class IdFilter(QueryFilter):
    """Rows whose field has this id. A text that is not an id matches nothing."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        return queryset.filter(**{self.field_name: uuid}) if uuid else queryset.none()


class BooleanFilter(QueryFilter):
    """Rows whose field is true or false. Override `matching` for a condition that is not a field."""

    schema = BOOLEAN

    def narrow(self, queryset: Rows, value: str) -> Rows:
        return self.matching(queryset, parse_boolean(value))

    def matching(self, queryset: Rows, wanted: bool) -> Rows:
        return queryset.filter(**{self.field_name: wanted})


class EnumFilter(QueryFilter):
    """Rows whose field is one of a few values."""

    def __init__(self, *values: str, field_name: str | None = None, help_text: str = "", **options: Any) -> None:
        super().__init__(field_name, help_text, **options)
        self.schema = {"type": "string", "enum": list(values)}


class PartsFilter(QueryFilter, ABC):
    """A filter whose parameters have a part in brackets: `expires[within]=30d`. Without a part it does not filter.

    Args:
        parts: the description of each part that is documented.
    """

    def __init__(self, parts: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options)
        self.parts = parts

    def filter(self, queryset: Rows, value: str) -> Rows:
        prefix, query = f"{self.name}[", self.parent.data
        given = {key[len(prefix) : -1]: text for key, text in query.items() if key.startswith(prefix) and text.strip()}
        given.pop("", None)
        return self.narrow_by(queryset, given) if given else queryset

    @abstractmethod
    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        """The rows that match the given parts."""

    def describe(self, name: str) -> dict[str, Parameter]:
        return {f"{name}[{part}]": Parameter(description) for part, description in self.parts.items()}


class MetadataFilter(QueryFilter):
    """Rows whose metadata has every value that the query asks for: `metadata[key]=value` (contract: licenses 5.2)."""

    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    style = "deepObject"

    def filter(self, queryset: Rows, value: str) -> Rows:
        return filter_metadata(queryset, self.parent.data)


class FilterSet(filters.FilterSet):
    """Base of filter sets; their `Meta` states the model only."""

    applies_by_default: ClassVar[bool] = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, each in self.filters.items():
            each.name = name

    @classmethod
    def describe(cls) -> dict[str, Parameter]:
        """The query parameters by name, for OpenAPI."""
        parameters: dict[str, Parameter] = {}
        for name, each in cls.base_filters.items():
            parameters |= each.describe(name)
        return parameters
