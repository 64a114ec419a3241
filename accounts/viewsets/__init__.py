from accounts.viewsets.accounts import NewAccountViewSet, OwnAccountViewSet
from accounts.viewsets.me import MeViewSet
from accounts.viewsets.tokens import BearerTokenViewSet, TokenViewSet
from accounts.viewsets.users import PasswordViewSet, UserTokenViewSet, UserViewSet

__all__ = [
    "BearerTokenViewSet",
    "MeViewSet",
    "NewAccountViewSet",
    "OwnAccountViewSet",
    "PasswordViewSet",
    "TokenViewSet",
    "UserTokenViewSet",
    "UserViewSet",
]
