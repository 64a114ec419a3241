"""Who is asking: bearer tokens for the API, e-mail and password for the console."""

from django.contrib.auth.backends import ModelBackend
from rest_framework.authentication import BaseAuthentication

from accounts.models import Token, User
from keygen_site.errors import DOCUMENTATION, DomainError
from keygen_site.ids import as_uuid

ABOUT_AUTHENTICATION = f"{DOCUMENTATION}/authentication/"
ABOUT_TOKENS = f"{ABOUT_AUTHENTICATION}#token-authentication"


class Unauthorized(DomainError):
    """A credential that is missing or no good (contract: platform 5.4)."""

    status = 401
    title = "Unauthorized"
    detail = "You must be authenticated to complete the request"
    headers = {"WWW-Authenticate": 'Bearer realm="keygen"'}


class TokenMissing(Unauthorized):
    code = "TOKEN_MISSING"
    about = ABOUT_AUTHENTICATION


class TokenInvalid(Unauthorized):
    """Unknown, revoked, or of another account."""

    code = "TOKEN_INVALID"
    about = ABOUT_TOKENS


class TokenFormatInvalid(Unauthorized):
    code = "TOKEN_FORMAT_INVALID"
    about = ABOUT_TOKENS
    detail = "Token format is invalid (make sure that you're providing a token value, not a token's UUID identifier)"


class TokenExpired(Unauthorized):
    code = "TOKEN_EXPIRED"
    detail = "Token is expired"


class UserBanned(DomainError):
    status = 403
    title = "Access denied"
    code = "USER_BANNED"
    detail = "User is banned"


def token_text(request):
    """The token in the Authorization header, or None: `Bearer <token>` or `Token <token>`, in any case."""
    scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() not in ("bearer", "token"):
        return None
    return text.strip().removeprefix("token=").strip('"') or None


class TokenAuthentication(BaseAuthentication):
    """By a token of the account that the address names; the viewset's `begin()` has found both."""

    def authenticate(self, request):
        if token_text(request) is None:
            return None
        token = request.found_token
        if token is None or token.account_id != request.account.pk:
            raise TokenFormatInvalid if as_uuid(token_text(request)) else TokenInvalid
        if token.is_expired:
            raise TokenExpired
        if token.bearer_banned:
            raise UserBanned
        return token.as_bearer(), token


class EmailBackend(ModelBackend):
    """Signs people in to the console by e-mail and password."""

    def authenticate(self, request, username=None, password=None, **kwargs):
        if not username or password is None:
            return None
        users = User.objects.filter(email=username.strip().lower(), is_staff=True)
        for user in users:
            if user.check_password(password) and self.user_can_authenticate(user):
                return user
        if not users:
            User().set_password(password)  # as slow as a real check: the time must not tell who exists
        return None
