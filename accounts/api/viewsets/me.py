from rest_framework.response import Response

from accounts.api import operations
from accounts.api.base import APIViewSet
from accounts.api.serializers.bearers import serializer_of
from accounts.api.serializers.tokens import TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.models import User
from accounts.permissions import require
from keygen_site.jsonapi.negotiation import Document


class MeViewSet(APIViewSet):
    """Whom the credential speaks for (contract: platform 1.3)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    operations = operations.ME
    permissions = {"me": "user.read", "profile": "user.read"}  # of a user; `authorize()` asks for the bearer's own
    open_when_inactive = frozenset(permissions)

    def authorize(self):
        bearer = self.request.user
        require(f"{bearer.model._meta.model_name}.read", bearer)
        self.request.authorized = True

    def me(self, request, *args, **kwargs):
        document = Document(data=self._bearer())
        if request.auth:
            document["included"] = [TokenSerializer.resource_object(request.auth)]
        return Response(document)

    def profile(self, request, *args, **kwargs):
        token_id = request.user.token_id
        return Response(Document(data=self._bearer(), meta={"tokenId": token_id and str(token_id)}))

    def _bearer(self):
        bearer = self.request.user
        return serializer_of(bearer.model).resource_object(bearer.model.objects.get(pk=bearer.id))
