"""Settings of an account over HTTP."""

from typing import Any

from django.http.response import HttpResponseBase

from accounts.account_settings import change_setting, create_setting, delete_setting
from accounts.api.base import APIViewSet
from accounts.api.serializers.settings import SettingSerializer
from accounts.models import Setting
from accounts.permissions import Forbidden
from accounts.roles import ADMINISTRATORS
from keygen_site.jsonapi.operations import OWN, RESOURCE, Access, Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.text import snake
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin

_ANY_ACCOUNT = Access.INACTIVE_ACCOUNT


class SettingViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The settings of an account (contract: security 4)."""

    queryset = Setting.objects.all()
    serializer_class = SettingSerializer

    def authorize(self, row: Setting | None = None) -> None:
        super().authorize(row)
        if self.actor.role not in ADMINISTRATORS:
            raise Forbidden

    @operation("List {plural}", permission="account.read", gives=Gives(OWN, paged=True), access=_ANY_ACCOUNT)
    def list(self, request: APIRequest) -> HttpResponseBase:
        """The newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response([SettingSerializer.resource_object(row) for row in page or ()])

    @operation("Show {a}", permission="account.read", gives=OWN, access=_ANY_ACCOUNT)
    def retrieve(self, request: APIRequest, setting: Setting) -> Setting:
        return setting

    @operation(
        "Create {a}",
        permission="account.update",
        takes=RESOURCE,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=True,
        document_first=True,
        access=_ANY_ACCOUNT,
    )
    def create(self, request: APIRequest, document: Values) -> Setting:
        """It has an effect on users and licenses that are created afterwards."""
        values: dict[str, Any] = document.values
        return create_setting(request.account, key=snake(values["key"]), value=values["value"])

    @operation("Change {a}", permission="account.update", takes=RESOURCE, gives=OWN, locks=True, access=_ANY_ACCOUNT)
    def partial_update(self, request: APIRequest, setting: Setting, document: Values) -> Setting:
        """Users and licenses that exist already keep their permissions."""
        change_setting(setting, document.values["value"])
        return setting

    @operation("Delete {a}", permission="account.update", locks=True, access=_ANY_ACCOUNT)
    def destroy(self, request: APIRequest, setting: Setting) -> None:
        """New users, or new licenses, have the standard permissions again."""
        delete_setting(setting)
