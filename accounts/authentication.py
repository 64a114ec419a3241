"""Authentication: credentials of the API, and email and password in the console."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import bearers, rate_limits
from accounts.bearers import Bearer
from accounts.credentials import Credential
from accounts.errors import (
    CredentialsInvalid,
    SessionExpired,
    SessionInvalid,
    SignInRefused,
    TokenExpired,
    TokenFormatInvalid,
    TokenInvalid,
    Unauthorized,
    UserBanned,
)
from accounts.ip_addresses import normalize_ip
from accounts.models import APISession, Token, User
from accounts.sign_in import sign_in, sign_in_to_console
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.types import STRING

LAST_WITH_UNIFORM_ERRORS = "1.7"


class BearerAuthentication(BaseAuthentication):
    """Authenticates the credential that `APIViewSet.resolve_account()` has found, in the account of the URL."""

    def authenticate(self, request: Any) -> tuple[Bearer, Token | User | None] | None:
        credential: Credential | None = request.credential
        if credential is None:
            return None
        if credential.kind == "password":
            return self._sign_in(request, credential)
        if credential.kind == "token":
            return self._bearer_of_token(request), request.found_token
        if credential.kind == "session":
            return self._bearer_of_session(request), request.found_token
        return self._bearer_of_key(request), None

    def _bearer_of_key(self, request: Any) -> Bearer:
        """The bearer of a key. A key that does not exist is a guess, as it is for `validate-key`."""
        credential: Credential = request.credential
        by_key = bearers.types()[credential.kind].by_key
        assert by_key is not None
        caller = (request.account.pk, client_ip(request))
        rate_limits.KEY_GUESSES.refuse_if_spent(*caller)
        try:
            return by_key(request.account, credential.text)
        except Unauthorized:
            rate_limits.KEY_GUESSES.hit(*caller)
            raise

    def _bearer_of_token(self, request: Any) -> Bearer:
        token: Token | None = request.found_token
        if token is None or token.account_id != request.account.pk:
            raise TokenFormatInvalid if parse_uuid(request.credential.text) else TokenInvalid
        if token.is_expired:
            raise TokenExpired
        if token.bearer_banned:
            raise UserBanned
        bearer = token.as_bearer()
        check = bearers.type_of(bearer.model).check
        return check(bearer) if check else bearer

    def _bearer_of_session(self, request: Any) -> Bearer:
        """The bearer of the token of a session (contract: security 2.3)."""
        session: APISession | None = request.found_session
        token: Token | None = request.found_token
        if session is None or token is None or token.account_id != request.account.pk:
            raise SessionInvalid
        if session.is_expired or token.is_expired:
            raise SessionExpired
        if token.bearer_banned:
            raise UserBanned
        return token.as_bearer()

    def _sign_in(self, request: Any, credential: Credential) -> tuple[Bearer, User]:
        try:
            user = sign_in(
                account=request.account,
                email=credential.text,
                password=credential.password,
                ip_address=client_ip(request),
                code=_code_of(request),
            )
        except SignInRefused as error:
            if request.version <= LAST_WITH_UNIFORM_ERRORS or settings.UNIFORM_SIGN_IN_ERRORS:
                raise CredentialsInvalid from None
            raise error
        return user.as_bearer(), user


def _code_of(request: Any) -> str | None:
    """The code of the second factor in the document of a sign-in.

    Raises:
        BadRequest: it is not a text.
    """
    document = request.data
    options = document.get("meta") if isinstance(document, dict) else None
    code = options.get("otp") if isinstance(options, dict) else None
    return None if code is None else STRING.read(code, "/meta/otp")


def client_ip(request: HttpRequest | Request) -> str:
    """The IP address of the client, see `normalize_ip()`; behind our own proxy, the one that the proxy saw.

    The proxy appends the address that it saw to `X-Forwarded-For`; the client may have made up everything before it.
    If that address is invalid, the address of the connection is used, i.e. that of the proxy.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_TLS_PROXY:
        seen_by_proxy = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2]
        return normalize_ip(seen_by_proxy) or normalize_ip(peer) or peer
    return normalize_ip(peer) or peer


class EmailBackend(ModelBackend):
    """Signs users in to the console by email and password, and by account where these match several users."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        account: str = "",
        **kwargs: Any,
    ) -> User | None:
        if not username or not password:
            return None
        ip_address = client_ip(request) if request else ""
        return sign_in_to_console(email=username, password=password, account=account, ip_address=ip_address)

    def user_can_authenticate(self, user: Any) -> bool:
        """Whether a session of the user goes on: banned users and those without access have none."""
        return bool(user.may_use_console)

    def get_user(self, user_id: Any) -> User | None:
        """The user of a session, with the account and the second factor, which every page of the console needs."""
        users = User.objects.select_related("account", "second_factor").defer("second_factor__secret")
        user = users.filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
