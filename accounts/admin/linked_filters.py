"""Filters of lists by one row, to whose page the link belongs."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Group
from keygen_site.db.uuids import parse_uuid


class LinkedRowFilter(admin.SimpleListFilter):
    """The rows of a list that belong to one row. It offers no other one.

    Attributes:
        model: of that row.
        path: the look-up that leads to it.
    """

    parameter_name: str
    model: Any
    path: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The row that the URL names.

        Raises:
            IncorrectLookupParameters: there is none that the operator may see.
        """
        text = request.GET.get(self.parameter_name, "")
        if not text:
            return []
        uuid = parse_uuid(text)
        rows = model_admin.restrict_to_account(self.model.objects.filter(pk=uuid), request, "account")
        if uuid is None or (row := rows.first()) is None:
            raise IncorrectLookupParameters
        return [(str(row.pk), str(row))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        name = self.parameter_name
        yield {"selected": False, "query_string": changelist.get_query_string(remove=[name]), "display": "All"}
        for pk, text in self.lookup_choices:
            yield {"selected": True, "query_string": changelist.get_query_string({name: pk}), "display": text}

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(**{self.path: self.lookup_choices[0][0]})


class GroupFilter(LinkedRowFilter):
    title, parameter_name, path = "group", "group", "group"
    model = Group
