"""Pages of lists, newest first, in one of three ways (contract: keys 4, platform 9).

| the query has | the page | `links` |
|---|---|---|
| no `page` | the first `limit` rows | none |
| `page[number]` | that page of `page[size]` rows | self, prev, next, first, last, and the number of pages and rows |
| `page[cursor]`, or `page[size]` alone | the rows after the cursor | self, next |

Rows are in the order of their ids: ids are UUIDv7, so that is the order of creation, without ties. A model whose ids
clients may choose is ordered by `-created`, then `-id`. A queryset with an order of its own keeps it; it must be
equivalent.
"""

import re
from collections.abc import Container
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, unquote_plus
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import DateTimeField, Q, QuerySet, UUIDField, Value
from django.http import QueryDict
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from keygen_site.db.conditions import bounded, row_comparison
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest, ParametersInvalid
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.text import leading_integer
from keygen_site.paths import quote_path

DEFAULT_SIZE = 10
MAX_SIZE = 100
PAGE_PARAMETERS = ("page", "limit", "order")
# Beyond the end of any table, and within PostgreSQL's bigint.
MAX_OFFSET = 2**62
# In milliseconds since 1970: the end of Python's calendar. The id of a cursor may contain a later timestamp.
MAX_TIMESTAMP_MS = 253_402_300_799_999
_CREDENTIALS = ("token", "auth")
_MEMBER = re.compile(r"\[([^\[\]]*)\]")


class Pagination(BasePagination):
    """The page of a queryset that the query string requests."""

    request: APIRequest
    links: dict[str, Any] | None

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        """The rows of the page.

        Raises:
            BadRequest: an invalid size, number, cursor or order.
        """
        self.request = request
        query = request.query_params
        descending = _order(query) == "desc"
        queryset = newest_first(queryset) if descending else oldest_first(queryset)
        pages = {name: query[name] for name in query if name == "page" or name.startswith("page[")}
        if not pages:
            self.links = None
            return self.first(queryset, limit_of(query))
        if "page" not in pages and "page[cursor]" in pages:
            return self._after_cursor(queryset, pages["page[cursor]"], descending)
        if "page" not in pages and "page[number]" in pages:
            return self._numbered(queryset)
        if all(name.startswith("page[size]") for name in pages):
            return self._after_cursor(queryset, "", descending)
        raise BadRequest("page must be an object containing a cursor or number and optional size", parameter="page")

    def first(self, queryset: QuerySet[Any], limit: int) -> list[Any]:
        """The first rows of a queryset that is ordered and starts at the page. Override it for a faster query."""
        return list(queryset[:limit])

    def _size(self) -> int:
        query = self.request.query_params
        if any(name.startswith("page[size]") for name in query):
            return _number(query, "page[size]", "page size", DEFAULT_SIZE, MAX_SIZE)
        return _number(query, "limit", "page size", DEFAULT_SIZE, MAX_SIZE, shown="page[size]")

    def _numbered(self, queryset: QuerySet[Any]) -> list[Any]:
        number = _number(self.request.query_params, "page[number]", "page number", 1, None)
        size = self._size()
        count = queryset.order_by().count()
        pages = -(-count // size)
        offset = (number - 1) * size

        def link(to: int) -> str:
            return self._link(number=to, size=size)

        self.links = {
            "self": link(number),
            "prev": link(number - 1) if 1 < number <= pages else None,
            "next": link(number + 1) if number < pages else None,
            "first": link(1),
            "last": link(pages),
            "meta": {"pages": pages, "count": count},
        }
        return list(queryset[offset : offset + size]) if offset < min(count, MAX_OFFSET) else []

    def _after_cursor(self, queryset: QuerySet[Any], cursor: str, descending: bool) -> list[Any]:
        if cursor:
            uuid = parse_uuid(cursor)
            if uuid is None:
                shown = orjson.dumps(cursor).decode()
                raise BadRequest(f"page cursor must be a valid UUID (got {shown})", parameter="page[cursor]")
            queryset = _after(queryset, uuid, "lt" if descending else "gt")
        size = self._size()
        self.links = {"self": self._link(cursor=cursor, size=size), "next": None}
        rows = self.first(queryset, size + 1)
        if len(rows) > size:
            rows.pop()
            self.links["next"] = self._link(cursor=rows[-1].pk, size=size)
        return rows

    def _link(self, **page: Any) -> str:
        """The URL of another page: this request's with another `page`, sorted, without credentials.

        Of a parameter that is repeated the last counts, unless it is an array.
        """
        parameters: dict[str, list[str]] = {}
        for pair in filter(None, self.request.META.get("QUERY_STRING", "").split("&")):
            name, equals, value = (unquote_plus(part) for part in pair.partition("="))
            if name not in _CREDENTIALS and not name.startswith("page["):
                shown = f"{quote_plus(name)}{equals}{quote_plus(value)}"
                parameters[name] = [*parameters.get(name, []), shown] if name.endswith("[]") else [shown]
        encoded = [shown for several in parameters.values() for shown in several]
        encoded += [f"{quote_plus(f'page[{name}]')}={quote_plus(str(value))}" for name, value in page.items()]
        return f"{quote_path(self.request).rstrip('/')}?{'&'.join(sorted(encoded))}"

    def get_paginated_response(self, data: Any) -> Response:
        document = Document(data=data)
        if self.links:
            document["links"] = self.links
        return Response(document)


def newest_first(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The queryset in the descending order of its own ordering, or of its model's."""
    return queryset.order_by(*(f"-{name}" for name in _ordering(queryset)))


def oldest_first(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The queryset in the ascending order of its own ordering, or of its model's."""
    return queryset.order_by(*_ordering(queryset))


def _ordering(queryset: QuerySet[Any]) -> list[str]:
    return [str(name).lstrip("-") for name in queryset.query.order_by or queryset.model._meta.ordering]


def limit_of(query: QueryDict) -> int:
    """The number of rows of a list without pages.

    Raises:
        BadRequest: it is not a number within 1..MAX_SIZE.
    """
    return _number(query, "limit", "limit", DEFAULT_SIZE, MAX_SIZE)


def _after(queryset: QuerySet[Any], uuid: UUID, comparison: str) -> QuerySet[Any]:
    """The rows after the cursor. If its row is gone (popped, deleted), the timestamp in its UUIDv7 gives the position.

    No row is after an id that neither exists nor is a UUIDv7.
    """
    if "-created" not in queryset.model._meta.ordering:
        return bounded(queryset, comparison, uuid) if uuid.version == 7 else queryset.none()
    created = queryset.model.objects.filter(pk=uuid).values_list("created", flat=True).first()
    if created is None and uuid.version != 7:
        return queryset.none()
    milliseconds = uuid.int >> 80
    if created is None and milliseconds > MAX_TIMESTAMP_MS:
        return queryset.none()
    created = created or datetime.fromtimestamp(milliseconds / 1000, UTC)
    if connection.vendor == "postgresql":
        return queryset.filter(
            row_comparison(comparison, "created", Value(created, DateTimeField()), Value(uuid, UUIDField()))
        )
    # The second condition implies the first, which lets SQLite use the index.
    return queryset.filter(**{f"created__{comparison}e": created}).filter(
        Q(**{f"created__{comparison}": created}) | Q(**{f"id__{comparison}": uuid})
    )


def refuse_mixed(query: str, names: Container[str]) -> None:
    """Refuse a parameter that is an object and an array or, before that, a text: `page=2&page[number]=1`.

    A text that comes last replaces the others. The same holds for the members of objects.

    Args:
        query: the query string, percent-encoded.
        names: the parameters that are looked at.

    Raises:
        ParametersInvalid: one of them is.
    """
    kinds: dict[str, str] = {}
    for pair in query.split("&"):
        parameter = unquote_plus(pair.partition("=")[0])
        path = parameter.partition("[")[0]
        if path not in names:
            continue
        for member in _MEMBER.findall(parameter):
            kind = "object" if member else "array"
            if kinds.setdefault(path, kind) != kind:
                raise ParametersInvalid
            if kind == "array":
                break  # each further value is another item
            path += f"[{member}]"
        else:
            kinds[path] = "text"


def _order(query: QueryDict) -> str:
    order = query.get("order", "desc").lower()
    if order not in ("asc", "desc") or any(name.startswith("order[") for name in query):
        raise BadRequest("order is invalid", parameter="order")
    return order


def _number(
    query: QueryDict, parameter: str, name: str, default: int, maximum: int | None, shown: str | None = None
) -> int:
    """A number of the query within 1..maximum: the digits that a text begins with.

    An array, and a text that begins with none, count as 0.

    Args:
        shown: the parameter that an error names, if it is another one.
    """
    if any(other.startswith(f"{parameter}[") for other in query):
        number = 0
    elif parameter not in query:
        return default
    else:
        number = leading_integer(str(query[parameter]))
    if number < 1 or (maximum and number > maximum):
        # Page numbers have no upper bound here; the wording is the contract's.
        raise BadRequest(
            f"{name} must be a number between 1 and {MAX_SIZE} (got {number})", parameter=shown or parameter
        )
    return number
