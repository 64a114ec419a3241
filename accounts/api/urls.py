"""URLs of accounts, users and tokens."""

from django.urls import re_path

from accounts.api.viewsets.accounts import NewAccountViewSet, OwnAccountViewSet
from accounts.api.viewsets.groups import GroupOwnerViewSet, GroupUserViewSet, GroupViewSet
from accounts.api.viewsets.me import MeViewSet
from accounts.api.viewsets.search import SearchViewSet
from accounts.api.viewsets.second_factors import SecondFactorViewSet
from accounts.api.viewsets.settings import SettingViewSet
from accounts.api.viewsets.tokens import TokenViewSet
from accounts.api.viewsets.users import PasswordViewSet, UserTokenViewSet, UserViewSet
from keygen_site.jsonapi.routers import SUFFIX, AttachmentRouter, NamedRouter, Router


class TokenRouter(Router):
    """PUT gives a token a new text; on the collection it does so for the token in use."""

    collection = {"get": "list", "post": "create", "put": "regenerate_current"}
    member = {"get": "retrieve", "put": "regenerate", "delete": "destroy"}


token_router = TokenRouter()
token_router.register("tokens", TokenViewSet)
user_router = NamedRouter()
user_router.register("users", UserViewSet)
user_router.register(r"groups/(?P<group>[^/]+)/users", GroupUserViewSet, basename="group-users")
owner_router = AttachmentRouter()
owner_router.register(r"groups/(?P<group>[^/]+)/owners", GroupOwnerViewSet, basename="group-owners")
router = Router()
router.register(r"users/(?P<user>[^/]+)/tokens", UserTokenViewSet, basename="user-tokens")
router.register(r"users/(?P<user>[^/]+)/second-factors", SecondFactorViewSet, basename="user-second-factors")
router.register("passwords", PasswordViewSet, basename="password")
router.register("groups", GroupViewSet)
# Always below an account, on a server with a single one too (contract: security 4.2).
setting_router = Router()
setting_router.register("settings", SettingViewSet)

urlpatterns = [
    *token_router.urls,
    *user_router.urls,
    *owner_router.urls,
    *router.urls,
    re_path(rf"^me{SUFFIX}/?$", MeViewSet.as_view({"get": "me"})),
    re_path(rf"^profile{SUFFIX}/?$", MeViewSet.as_view({"get": "profile"})),
    re_path(rf"^search{SUFFIX}/?$", SearchViewSet.as_view({"post": "search"}, basename="search")),
]

prefixed_urlpatterns = setting_router.urls

# The accounts themselves; the URLs above lie below one.
_own_account = OwnAccountViewSet.as_view(
    {"get": "retrieve", "patch": "partial_update", "put": "partial_update", "delete": "destroy"}
)
account_urlpatterns = [
    re_path(rf"^accounts{SUFFIX}/?$", NewAccountViewSet.as_view({"post": "create"})),
    re_path(rf"^accounts/(?P<account>[^/]+?){SUFFIX}/?$", _own_account),
]
