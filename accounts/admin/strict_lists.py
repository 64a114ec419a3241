"""Lists that take from their URL no more than they offer."""

from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin.sealed_text import open_search


class StrictChangeList(ChangeList):
    """A list whose URL filters and orders only by the filters and columns that the list offers.

    Django accepts look-ups of any field of the model in the URL: `?key__startswith=A` would reveal a masked key letter
    by letter, and `?key__regex=` could keep the database busy.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            filters = super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters from error
        _, _, unused, *_ = filters
        if unused:  # by any filter of the list
            raise IncorrectLookupParameters(f"No filter of this list is called {', '.join(unused)}")
        return filters

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        columns = [column for column in self.params.pop(ORDER_VAR, "").split(".") if self._is_sortable(column)]
        if columns:
            self.params[ORDER_VAR] = ".".join(columns)
        return super().get_ordering(request, queryset)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.query = open_search(request, self.query)
        return super().get_queryset(request, exclude_parameters)

    def _is_sortable(self, column: str) -> bool:
        """Whether a part of the order in the URL, e.g. `-2`, is the number of a column that the list sorts by."""
        number = column.removeprefix("-")
        if not number.isdecimal() or int(number) >= len(self.list_display):
            return False
        return self.list_display[int(number)] in (self.sortable_by or ())
