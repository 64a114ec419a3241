from django.urls import re_path

from accounts.api.viewsets.me import MeViewSet
from accounts.api.viewsets.tokens import TokenViewSet
from accounts.api.viewsets.users import PasswordViewSet, UserTokenViewSet, UserViewSet
from keygen_site.jsonapi.routers import Router
from keygen_site.jsonapi.viewsets import NamedRouter


class TokenRouter(Router):
    """A token is never changed: PUT makes a new text for it, or, of all tokens, for the one in use."""

    collection = {"get": "list", "post": "create", "put": "regenerate_current"}
    member = {"get": "retrieve", "put": "regenerate", "delete": "destroy"}


token_router = TokenRouter()
token_router.register("tokens", TokenViewSet)
user_router = NamedRouter()
user_router.register("users", UserViewSet)
router = Router()
router.register(r"users/(?P<user>[^/]+)/tokens", UserTokenViewSet, basename="user-tokens")
router.register("passwords", PasswordViewSet, basename="password")

urlpatterns = [
    *token_router.urls,
    *user_router.urls,
    *router.urls,
    re_path(r"^me/?$", MeViewSet.as_view({"get": "me"})),
    re_path(r"^profile/?$", MeViewSet.as_view({"get": "profile"})),
]
