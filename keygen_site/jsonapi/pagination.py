"""Lists: newest first, in one of three ways (contract: keys 4, platform 9).

| the query has | the page | `links` |
|---|---|---|
| no `page` | the first `limit` | none |
| `page[number]` | that page of `page[size]` | self, prev, next, first, last, and how many there are |
| `page[cursor]`, or `page[size]` alone | what follows the cursor | self, next |

Order is by id: ids are UUIDv7, so it is the order of creation, with no ties. Where clients may choose ids, the model's
own order says so: `-created`, then `-id`. A queryset that is in another order, which has to come to the same, keeps it.
"""

import re
from datetime import UTC, datetime
from urllib.parse import quote

from django.db.models import Q
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.negotiation import Document
from keygen_site.paths import path_of

DEFAULT_SIZE = 10
MAX_SIZE = 100
# An offset beyond this is past the end of any table, and PostgreSQL's bigint is not much larger.
MAX_OFFSET = 2**62
# Milliseconds since 1970: an id may name a later one, but the calendar ends here.
LAST_MOMENT = 253_402_300_799_999
_CREDENTIALS = ("token", "auth")


class Pagination(BasePagination):
    """One page of a queryset, as the query string asks for it."""

    def paginate_queryset(self, queryset, request, view=None):
        """The rows of the page, a list.

        Raises:
            BadRequest: a size, number, cursor or order that cannot be.
        """
        self.request = request
        query = request.query_params
        descending = _order(query) == "desc"
        names = [name.lstrip("-") for name in queryset.query.order_by or queryset.model._meta.ordering]
        queryset = queryset.order_by(*(f"-{name}" if descending else name for name in names))
        pages = {name: query[name] for name in query if name == "page" or name.startswith("page[")}
        if not pages:
            self.links = None
            return self.first(queryset, limit_of(query))
        if not pages.keys() <= {"page[number]", "page[size]", "page[cursor]"} and not _is_bad_size(pages):
            raise BadRequest("page must be an object containing a cursor or number and optional size", parameter="page")
        if "page[number]" in pages and "page[cursor]" not in pages:
            return self._numbered(queryset)
        return self._after_cursor(queryset, pages.get("page[cursor]", ""), descending)

    def first(self, queryset, most):
        """The first rows of a queryset that is in order and begins where the page does."""
        return list(queryset[:most])

    def _size(self):
        query = self.request.query_params
        if any(name.startswith("page[size]") for name in query):
            return _number(query, "page[size]", "page size", DEFAULT_SIZE, MAX_SIZE)
        return limit_of(query)

    def _numbered(self, queryset):
        number = _number(self.request.query_params, "page[number]", "page number", 1, None)
        size = self._size()
        count = queryset.order_by().count()
        pages = -(-count // size)
        offset = (number - 1) * size

        def link(to):
            return self._link(number=to, size=size)

        self.links = {
            "self": link(number),
            "prev": link(number - 1) if 1 < number <= pages else None,
            "next": link(number + 1) if number < pages else None,
            "first": link(1),
            "last": link(max(pages, 1)),
            "meta": {"pages": pages, "count": count},
        }
        return list(queryset[offset : offset + size]) if offset < min(count, MAX_OFFSET) else []

    def _after_cursor(self, queryset, cursor, descending):
        size = self._size()
        self.links = {"self": self._link(cursor=cursor, size=size), "next": None}
        if cursor:
            uuid = parse_uuid(cursor)
            if uuid is None:
                raise BadRequest(f'page cursor must be a valid UUID (got "{cursor}")', parameter="page[cursor]")
            queryset = _behind(queryset, uuid, "lt" if descending else "gt")
        rows = self.first(queryset, size + 1)
        if len(rows) > size:
            rows.pop()
            self.links["next"] = self._link(cursor=rows[-1].pk, size=size)
        return rows

    def _link(self, **page):
        """The address of another page: this request's, with the other `page`, names sorted, credentials left out."""
        query = self.request.query_params
        pairs = [
            (name, value)
            for name, values in query.lists()
            if name not in _CREDENTIALS and not name.startswith("page[")
            for value in values
        ]
        pairs += [(f"page[{name}]", str(value)) for name, value in page.items()]
        encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(pairs))
        return f"{path_of(self.request)}?{encoded}"

    def get_paginated_response(self, data):
        document = Document(data=data)
        if self.links:
            document["links"] = self.links
        return Response(document)


def limit_of(query):
    """How many rows a list has that is not paged.

    Raises:
        BadRequest: that cannot be.
    """
    return _number(query, "limit", "limit", DEFAULT_SIZE, MAX_SIZE)


def _behind(queryset, uuid, beyond):
    """The rows that follow the one of this id, or its place if it is gone by now, popped or deleted.

    An id that neither is there nor can be one of this server's has no place: nothing follows it.
    """
    if "-created" not in queryset.model._meta.ordering:
        return queryset.filter(**{f"id__{beyond}": uuid}) if uuid.version == 7 else queryset.none()
    created = queryset.model.objects.filter(pk=uuid).values_list("created", flat=True).first()
    if created is None and uuid.version != 7:
        return queryset.none()
    milliseconds = uuid.int >> 80
    if created is None and milliseconds > LAST_MOMENT:
        return queryset.none()
    created = created or datetime.fromtimestamp(milliseconds / 1000, UTC)
    # The first condition says nothing new, and lets SQLite use the index.
    return queryset.filter(**{f"created__{beyond}e": created}).filter(
        Q(**{f"created__{beyond}": created}) | Q(**{f"id__{beyond}": uuid})
    )


def _is_bad_size(pages):
    """`page[size][]=1` and the like: a size, but not a number; its own error says so."""
    return any(re.match(r"page\[(size|number)\]\[", name) for name in pages)


def _order(query):
    order = query.get("order", "desc").lower()
    if order not in ("asc", "desc"):
        raise BadRequest("order is invalid", parameter="order")
    return order


def _number(query, parameter, name, default, most):
    """A number of the query within 1..most; text that is no number counts as 0, an array too."""
    if any(other.startswith(f"{parameter}[") for other in query):
        number = 0
    elif parameter not in query:
        return default
    else:
        text = query[parameter].strip()
        number = int(text) if re.fullmatch(r"[+-]?\d{1,30}", text, re.ASCII) else 0
    if number < 1 or (most and number > most):
        # Page numbers have no upper bound here; the words are the contract's.
        raise BadRequest(f"{name} must be a number between 1 and {MAX_SIZE} (got {number})", parameter=parameter)
    return number
