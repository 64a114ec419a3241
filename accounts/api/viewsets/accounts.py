from django.conf import settings
from rest_framework import status
from rest_framework.response import Response

from accounts.api import operations
from accounts.api.base import APIViewSet
from accounts.api.serializers.accounts import AccountSerializer, read_new_account
from accounts.models import Account
from accounts.permissions import Forbidden
from accounts.services import name_from, sign_up
from keygen_site.jsonapi.errors import EndpointNotFound


class OwnAccountViewSet(APIViewSet):
    """The account itself (contract: platform 7)."""

    queryset = Account.objects.all()
    serializer_class = AccountSerializer
    operations = operations.OWN_ACCOUNT
    permissions = {"retrieve": "account.read", "partial_update": "account.update", "destroy": "account.delete"}
    open_when_inactive = frozenset(permissions)

    def retrieve(self, request, *args, **kwargs):
        return Response(AccountSerializer.resource_object(request.account))

    def partial_update(self, request, *args, **kwargs):
        serializer = self.get_serializer(request.account, data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(AccountSerializer.resource_object(serializer.instance))

    def destroy(self, request, *args, **kwargs):
        raise Forbidden  # for everybody; the permission says so already


class NewAccountViewSet(APIViewSet):
    """Accounts that people make themselves, where the operator of the server lets them (contract: platform 7.3)."""

    queryset = Account.objects.all()
    serializer_class = AccountSerializer
    operations = operations.NEW_ACCOUNTS
    permissions = {"create": "account.create"}
    anonymous = frozenset(permissions)

    def begin(self, request):
        if settings.ACCOUNT or not settings.SIGN_UP:
            raise EndpointNotFound
        self.begin_without_account(request)

    def create(self, request, *args, **kwargs):
        fields, admins = read_new_account(request.data)
        self.authorize()
        name, slug = name_from(admins[-1]["email"])
        account = sign_up(
            admins=admins,
            **{"name": fields.get("slug", name), "slug": slug, "api_version": request.version, **fields},
        )
        location = request.build_absolute_uri(AccountSerializer.path_of(account))
        return Response(
            AccountSerializer.resource_object(account),
            status=status.HTTP_201_CREATED,
            headers={"Location": location},
        )
