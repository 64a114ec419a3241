"""The bearer of the credential in use."""

from typing import Any

from accounts.api.base import APIViewSet
from accounts.api.serializers.bearers import serializer_of
from accounts.api.serializers.tokens import TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.bearers import types
from accounts.models import User
from accounts.permissions import require
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.openapi.schemas import ref
from keygen_site.jsonapi.operations import Access, Gives, operation
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.types import UUID

_BEARER = {"oneOf": [ref("schemas", each.model.__name__) for each in types().values()]}


class MeViewSet(APIViewSet):
    """The bearer of the credential in use (contract: platform 1.3)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    without_versions = frozenset({"profile"})

    def authorize(self, row: Any = None) -> None:
        """Require the permission to read the bearer's own type, rather than `user.read`."""
        bearer = self.request.user
        require(f"{bearer.model._meta.model_name}.read", bearer)
        self.request.authorized = True

    @operation(
        "Show the bearer of the credential",
        permission="user.read",
        gives=Gives(data=_BEARER, included=TokenSerializer),
        locks=False,
        idempotent=False,
        records="",
        access=Access.INACTIVE_ACCOUNT,
    )
    def me(self, request: APIRequest) -> Document:
        document = Document(data=self._bearer())
        if request.auth:
            document["included"] = [TokenSerializer.resource_object(request.auth)]
        return document

    @operation(
        "Show the bearer of the credential, and the id of the token",
        permission="user.read",
        gives=Gives(
            data=_BEARER,
            meta={"token_id": Schema(UUID, required=True, nullable=True, description="The id of the token, or null.")},
        ),
        locks=False,
        idempotent=False,
        records="",
        access=Access.INACTIVE_ACCOUNT,
    )
    def profile(self, request: APIRequest) -> Document:
        token_id = request.user.token_id
        return Document(data=self._bearer(), meta={"tokenId": token_id and str(token_id)})

    def _bearer(self) -> dict[str, Any]:
        bearer = self.request.user
        return serializer_of(bearer.model).resource_object(bearer.model.objects.get(pk=bearer.id))
