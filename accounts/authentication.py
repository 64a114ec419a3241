"""Who is asking: credentials of the API, and e-mail and password for the console."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from rest_framework.authentication import BaseAuthentication

from accounts.errors import (
    CredentialsInvalid,
    SignInRefused,
    TokenExpired,
    TokenFormatInvalid,
    TokenInvalid,
    UserBanned,
)
from accounts.models import User
from accounts.sign_in import sign_in, sign_in_to_console
from keygen_site.db.uuids import parse_uuid

LAST_WITH_UNIFORM_ERRORS = "1.7"


class BearerAuthentication(BaseAuthentication):
    """By a credential of the account that the address names; the viewset's `begin()` has found both."""

    def authenticate(self, request):
        credential = request.credential
        if credential is None:
            return None
        match credential.kind:
            case "license":
                return licenses().bearer_of_key(request.account, credential.text), None
            case "password":
                return self._signed_in(request, credential)
        return self._bearer_of(request), request.found_token

    def _bearer_of(self, request):
        token = request.found_token
        if token is None or token.account_id != request.account.pk:
            raise TokenFormatInvalid if parse_uuid(request.credential.text) else TokenInvalid
        if token.is_expired:
            raise TokenExpired
        if token.bearer_banned:
            raise UserBanned
        bearer = token.as_bearer()
        if bearer.role == "license":
            licenses().check_token(bearer)
        return bearer

    def _signed_in(self, request, credential):
        try:
            user = sign_in(
                account=request.account,
                email=credential.text,
                password=credential.password,
                address=client_address(request),
            )
        except SignInRefused as error:
            if request.version <= LAST_WITH_UNIFORM_ERRORS or settings.UNIFORM_SIGN_IN_ERRORS:
                raise CredentialsInvalid from None
            raise error
        return user.as_bearer(), user


def licenses():
    """The module that knows about licenses as bearers: they are above accounts, so a setting names it.

    It has `bearer_of_key(account, key)`, whom a license key speaks for, and `check_token(bearer)`, which refuses a
    license's token that the license's terms do not allow.
    """
    return import_module(settings.LICENSE_AUTHENTICATION)


def client_address(request):
    """The network address that a request comes from: behind our own proxy, the one that the proxy saw."""
    if settings.BEHIND_TLS_PROXY:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return request.META.get("REMOTE_ADDR", "")


class EmailBackend(ModelBackend):
    """Signs people in to the console by e-mail and password, and by account where these do not say who it is."""

    def authenticate(self, request, username=None, password=None, account="", **kwargs):
        if not username or not password:
            return None
        address = client_address(request) if request else ""
        return sign_in_to_console(email=username, password=password, account=account, address=address)

    def get_user(self, user_id: Any) -> User | None:
        """The person of a session, with the account, which every page of the console names."""
        user = User.objects.select_related("account").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
