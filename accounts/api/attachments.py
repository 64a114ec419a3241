"""Base of viewsets that attach rows to a resource and detach them, several rows per request."""

from typing import Any, ClassVar, cast
from uuid import UUID

from accounts.api.base import APIViewSet
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.lookups import Rows, not_found
from keygen_site.jsonapi.request_documents import Members, Schema, identifier
from keygen_site.jsonapi.serializers import ResourceSerializer
from keygen_site.jsonapi.types import ARRAY

MAX_PER_REQUEST = 100


def identifiers(plural: str, singular: str) -> Members:
    """A document with the types and ids of 1 to 100 resources."""
    description = f"The types and ids of 1 to {MAX_PER_REQUEST} {plural}."
    items = identifier(plural, singular)
    return {"data": Schema(ARRAY, required=True, blank=True, items=items, description=description)}


class AttachmentViewSet(APIViewSet):
    """Base of the viewsets with `attach` and `detach`, whose documents have the ids of the attached rows.

    A subclass states `parent`, and `attachment_serializer`, that of the rows which hold the attachments.
    """

    attachment_serializer: ClassVar[type[ResourceSerializer]]

    def read_document(self, row: Any) -> list[UUID] | None:
        """The ids in the document, in its order.

        Raises:
            BadRequest: the document is malformed, or has too few or too many ids.
        """
        document = super().read_document(row)
        if document is None:
            return None
        items = document["data"]
        if not 1 <= len(items) <= MAX_PER_REQUEST:
            raise BadRequest(f"length must be between 1 and {MAX_PER_REQUEST} (inclusive)", pointer="/data")
        self.activity_details = {"count": len(items)}
        if self.action == "attach":
            self.serializer_class = self.attachment_serializer  # for the pointers of errors
        return [item["id"] for item in items]

    def row_to_record(self, row: Any) -> Any:
        return getattr(self, self._parent_name)

    def rows_to_show_again(self, ids: list[str]) -> Rows:
        links = self.attachment_serializer.Meta.model.objects
        return links.filter(pk__in=ids, **{self._parent_name: self.parent_id})

    def lock_parent(self) -> Any:
        """The resource above, locked until the transaction ends, so that concurrent changes do not overlap.

        Rows that only refer to it can still be written.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        assert self.parent
        rows = self.parent.rows.select_for_update(of=("self",), no_key=True)
        parent = rows.filter(pk=self.parent_id).first()
        if parent is None:
            raise not_found(self.parent.rows.model, self.kwargs[self._parent_name])
        return parent

    @property
    def _parent_name(self) -> str:
        return cast(str, self.parent and self.parent.name)
