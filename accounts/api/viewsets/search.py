"""The search over HTTP."""

from datetime import datetime
from typing import Any

from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts.api.base import APIViewSet
from accounts.api.search_queries import SEARCH, SearchQuery
from accounts.api.serializers.bearers import serializer_of
from accounts.api.serializers.users import UserSerializer
from accounts.models import User
from accounts.permissions import Forbidden, require_held
from accounts.searchable import narrow, searchable_types
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.openapi.schemas import ref
from keygen_site.jsonapi.operations import Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.sections import Section

_FOUND = {"type": "array", "items": {"oneOf": [ref("schemas", each.model.__name__) for each in searchable_types()]}}


class SearchViewSet(APIViewSet):
    """The search for resources of one type, for the staff of the account (contract: search)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    section = Section(85, "Searches", "Search the resources of one type by parts of their values.")
    without_versions = frozenset({"search"})

    query: SearchQuery

    def read_document(self, row: Any) -> dict[str, Any]:
        document: dict[str, Any] = super().read_document(row)
        self.query = SearchQuery.of(document)
        return document

    def authorize(self, row: Any = None) -> None:
        """Refuse bearers who do not see the whole account. The permission to read the type is checked later."""
        if not self.actor.is_staff:
            raise Forbidden
        self.request.authorized = True

    @classmethod
    def describe_permission(cls, permission: str) -> str:
        return f"Permission `{permission}`, or that to read another type: the roles of staff."

    @operation(
        "Search resources of one type",
        permission="user.read",
        takes=SEARCH,
        gives=Gives(data=_FOUND, paged=True),
        locks=False,
        idempotent=False,
        records="",
        document_first=True,
    )
    def search(self, request: APIRequest, document: dict[str, Any]) -> HttpResponseBase:
        """The newest first. The page is a part of the URL, as in a list: `?limit=`, `?page[size]=`.

        In an account with more than 50,000 resources of the type, the older ones are found by their ids and keys, by
        related resources, and by the beginning of emails and names, and not by other parts or by metadata.
        """
        terms = self.query.read_terms()
        searchable = self.query.searchable
        for permission in searchable.permissions:
            require_held(permission, self.actor)
        rows = self._visible_rows(timezone.now())
        found = narrow(rows, terms, request.account.pk, any_of=self.query.any_of)
        serializer = serializer_of(searchable.model)
        return self.get_paginated_response(
            [serializer.resource_object(each) for each in self.paginate_queryset(found) or ()]
        )

    def _visible_rows(self, now: datetime) -> Rows:
        rows: Rows = self.query.searchable.rows(now)
        return rows.visible_to(self.actor)
