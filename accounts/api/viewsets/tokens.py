"""Tokens over HTTP."""

from typing import Any

from django.db import models
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from accounts.api.filters import TokenFilterSet
from accounts.api.serializers.tokens import SIGN_IN, TokenSerializer, parse_token
from accounts.api.sessions import start_session
from accounts.bearers import models_by_type
from accounts.errors import (
    CodeInvalid,
    CodeRequired,
    CredentialsInvalid,
    EmailInvalid,
    EmailRequired,
    PasswordInvalid,
    PasswordNotSupported,
    PasswordRequired,
)
from accounts.models import Token, User
from accounts.models.activity import name_of
from accounts.models.tokens import TooManyTokens
from accounts.permissions import Change, Forbidden, require_change, require_token
from accounts.roles import ADMINISTRATORS
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.operations import OWN, Access, Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import DestroyMixin, ListMixin, RetrieveMixin


class TokenViewSet(RetrieveMixin, DestroyMixin, ListMixin, APIViewSet):
    """The tokens of an account, and signing in to get one (contract: platform 5.3, 5.5)."""

    queryset = Token.objects.with_roles()
    serializer_class = TokenSerializer
    filterset_class = TokenFilterSet

    def authorize(self, row: Token | None = None) -> None:
        user = self.request.auth
        if isinstance(user, User) and user.banned:
            raise Forbidden("user is banned")
        super().authorize(row)

    def event_to_record(self) -> str:
        """Customers and their programs make and renew tokens of their own all the time: these are not recorded."""
        return "" if self.actor.role in ("license", "user") else super().event_to_record()

    @operation(
        "Create a token; sign in with an email and a password",
        permission="token.generate",
        takes=SIGN_IN,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=False,
        document_first=True,
        access=Access.INACTIVE_ACCOUNT | Access.PASSWORD,
        errors=(
            EmailRequired,
            EmailInvalid,
            PasswordRequired,
            PasswordNotSupported,
            PasswordInvalid,
            CredentialsInvalid,
            CodeRequired,
            CodeInvalid,
            TooManyTokens,
        ),
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> Response:
        """An email and a password in Basic give a token of that user. The token's text is in this response only.

        A page of one of the server's `SESSION_ORIGINS` also gets a cookie, which it may send instead of a token.
        """
        attributes, identifier = parse_token(document)
        bearer = self._bearer(identifier)
        token, text = Token.generate(bearer, **attributes)
        self.changed_row, self.activity_details = token, {"bearer": name_of(bearer)}
        if bearer.pk == self.actor.id:
            start_session(request, token, expiry=attributes.get("expiry"), parent=request.found_session)
        location = request.build_absolute_uri(TokenSerializer.path_of(token))
        return Response(TokenSerializer.with_text(token, text), status=201, headers={"Location": location})

    def _bearer(self, identifier: dict[str, Any] | None) -> models.Model:
        """The bearer of a new token: the caller, or one whose tokens the caller may make."""
        caller = self.request.user
        if identifier is None or identifier["id"] == caller.id:
            if caller.role == "product":
                raise Forbidden
            return caller.model.objects.get(pk=caller.id)
        model: Any = models_by_type()[identifier["type"]]
        bearer = model.objects.visible_to(caller).filter(pk=identifier["id"]).first()
        if bearer is None:
            raise Forbidden
        require_token(caller, bearer)
        if caller.is_staff and not isinstance(bearer, User):
            raise Forbidden  # these are made below the product or license
        return bearer

    @operation("Show a token", gives=OWN, access=Access.INACTIVE_ACCOUNT)
    def retrieve(self, request: APIRequest, token: Token) -> Token:
        return token

    @operation(
        "Give a token a new text",
        permission="token.regenerate",
        gives=OWN,
        locks=True,
        idempotent=False,
        records="regenerated",
    )
    def regenerate(self, request: APIRequest, token: Token) -> dict[str, Any]:
        """The old text stops working. The new text is in this response only."""
        return self.regenerate_row(token)

    @operation(
        "Give the token in use a new text",
        permission="token.regenerate",
        gives=OWN,
        locks=True,
        idempotent=False,
        records="regenerated",
    )
    def regenerate_current(self, request: APIRequest) -> dict[str, Any]:
        """The new text is in this response only."""
        if request.user.token_id is None:
            raise NotFound("The requested token was not found")
        self.kwargs["pk"] = str(request.user.token_id)
        return self.regenerate_row(self.find_row(locked=True))

    @operation(
        "Delete a token", permission="token.revoke", locks=True, records="revoked", access=Access.INACTIVE_ACCOUNT
    )
    def destroy(self, request: APIRequest, token: Token) -> None:
        caller = request.user
        if caller.is_staff and caller.role not in ADMINISTRATORS and token.bearer_id != caller.id:
            raise Forbidden
        self._require_rank(token, Change.REVOKE)
        session, token_id = request.found_session, token.pk
        token.delete()
        request.ends_session = bool(session) and session.token_id == token_id

    def _require_rank(self, token: Token, change: Change) -> None:
        """Check the rank of a token's bearer, although only visible tokens get here."""
        if token.bearer_id != self.actor.id:
            require_change(self.actor, token.bearer, change)

    def regenerate_row(self, token: Token) -> dict[str, Any]:
        if not self._may_replace(token):
            raise Forbidden
        self._require_rank(token, Change.TOKENS)
        self.changed_row = token
        session = self.request.found_session
        shown = TokenSerializer.with_text(token, token.regenerate())
        if session and session.token_id == token.pk:  # it has ended with the old text
            start_session(self.request, token, expiry=session.expiry)
        return shown

    def _may_replace(self, token: Token) -> bool:
        """Whether the caller may have the text of a token: staff not that of other staff."""
        caller = self.request.user
        if token.bearer_id == caller.id or caller.role == "product":
            return True
        return caller.role in ADMINISTRATORS and token.role in ("product", "license", "user")


class BearerTokenViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """Base of the tokens of one user, product or license (contract: platform 5.5).

    A subclass states `parent`, and declares `create`, which calls `create_token`.
    """

    queryset = Token.objects.with_roles()
    serializer_class = TokenSerializer

    def create_token(self, bearer: models.Model, document: dict[str, Any]) -> dict[str, Any]:
        attributes, _ = parse_token(document)
        require_token(self.actor, bearer)
        token, text = Token.generate(bearer, **attributes)
        self.changed_row, self.activity_details = token, {"bearer": name_of(bearer)}
        return TokenSerializer.with_text(token, text)
