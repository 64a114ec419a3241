"""The addresses of accounts themselves, below /v1; those of what belongs to one are in `urls`."""

from django.urls import re_path

from accounts.api.viewsets.accounts import NewAccountViewSet, OwnAccountViewSet

ACTIONS = {"get": "retrieve", "patch": "partial_update", "put": "partial_update", "delete": "destroy"}

urlpatterns = [
    re_path(r"^accounts/?$", NewAccountViewSet.as_view({"post": "create"})),
    re_path(r"^accounts/(?P<account>[^/]+)/?$", OwnAccountViewSet.as_view({**ACTIONS})),
]
