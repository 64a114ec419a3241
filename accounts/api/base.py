"""The base viewset of the API: finds the account, authenticates the bearer, and checks permissions."""

import re
from collections.abc import Callable
from typing import Any, ClassVar, cast
from urllib.parse import unquote
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts import token_use
from accounts.api.sessions import finish_session
from accounts.audit import AuditContext
from accounts.authentication import client_ip
from accounts.bearers import Bearer
from accounts.credentials import Credential, build_challenge, parse_credential
from accounts.errors import TokenMissing, Unauthorized, UserBanned
from accounts.models import Account, Activity, Subject, Token, User, find_session, find_token
from accounts.models.activity import name_of
from accounts.moved_tokens import find_moved_token
from accounts.permissions import Forbidden, require
from accounts.rate_limits import RateLimitState, count_request, refuse_requests_if_spent
from accounts.roles import ALLOWED_ROLES
from accounts.signing.algorithms import parse_accept_signature
from keygen_site.jsonapi.errors import BadRequest, BytesInvalid, DomainError, NotFound, NullByte
from keygen_site.jsonapi.lookups import Lookup, Parent
from keygen_site.jsonapi.operations import Access, File
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.text import header_text, is_one_line, snake
from keygen_site.jsonapi.versions import (
    CURRENT_VERSION,
    EDITION,
    LAST_WITH_ID_HEADERS,
    downgrade,
    parse_version,
    set_version,
)
from keygen_site.jsonapi.viewsets import WRITES, BaseViewSet

_INVALID = "invalid"  # stands for all invalid credentials in rate limits


class AccountInactive(DomainError):
    """The account is paused or canceled (contract: platform 7.5)."""

    status = 403
    title = "Account does not have an active subscription"
    detail = "must have an active subscription to access this resource"


class EnvironmentNotSupported(BadRequest):
    """The request names an environment. Environments are not supported."""

    code = "ENVIRONMENT_NOT_SUPPORTED"
    detail = "is unsupported"


class ReferenceInvalid(BadRequest):
    """The header `Keygen-Reference`, the caller's reference for a change, is stored in the ledger."""

    detail = "must be between 1 and 255 characters, without control characters"
    source = {"header": "Keygen-Reference"}


class ReferenceEncodingInvalid(ReferenceInvalid):
    detail = "must be percent-encoded UTF-8 after UTF-8'', e.g. UTF-8''Bestellung%20M%C3%BCller"


# For clients that cannot send other characters than ASCII or Latin-1 in a header.
_ENCODED_REFERENCE = re.compile(r"UTF-8'[A-Za-z0-9-]*'(.*)", re.IGNORECASE | re.DOTALL)


def parse_reference(request: APIRequest) -> str:
    """The caller's reference, e.g. an order number; empty without the header. It may be encoded by RFC 8187.

    Raises:
        ReferenceInvalid: the header is empty, too long, or not a line of text.
    """
    header = request.META.get("HTTP_KEYGEN_REFERENCE")
    if header is None:
        return ""
    text = header_text(header).strip()
    if match := _ENCODED_REFERENCE.fullmatch(text):
        try:
            text = unquote(match[1], errors="strict").strip()
        except UnicodeDecodeError:
            raise ReferenceEncodingInvalid from None
    if not 1 <= len(text) <= 255 or not is_one_line(text):
        raise ReferenceInvalid
    return text


class APIViewSet(BaseViewSet):
    """Base of the viewsets of everything that belongs to an account."""

    # The actions whose responses name relationships as the current version does, in every version.
    with_current_relationships: ClassVar[frozenset[str]] = frozenset()
    # The actions whose responses are the same in every version.
    without_versions: ClassVar[frozenset[str]] = frozenset()
    # For the activity, set by an action: the row that it has changed, if the URL does not name it, and more about it.
    changed_row: Any = None
    activity_details: Activity.Details | None = None

    # The pipeline ----------------------------------------------------------------------------------------------------

    def resolve_account(self, request: APIRequest) -> None:
        request.account = request.rate_limit = request.found_token = request.found_session = None
        if "\0" in self.kwargs.get("account", ""):
            raise NullByte
        request.version = parse_version(request) or CURRENT_VERSION
        request.credential = credential = self.find_credential(request)
        if credential and credential.kind == "token":
            # One statement finds the token and its account, nearly always the account of the URL.
            request.found_token = find_token(credential.text)
        if credential and credential.kind == "session":
            request.found_session = session = find_session(credential.text)
            request.found_token = session and session.token
        request.account = self.find_account(request.found_token)
        if credential and credential.kind == "token" and request.found_token is None:
            request.found_token = find_moved_token(request.account, credential.text)
        cast(Any, request._request).account = request.account  # whose key signs the response: `SignatureMiddleware`
        request.rate_limit = self._count_request(request)

    def _count_request(self, request: APIRequest) -> RateLimitState | None:
        """Count the request by its credential; a credential that is not valid only by the IP address.

        So a client cannot avoid the limit, nor store a counter, by sending another text each time.
        """
        caller = (request.account.pk, client_ip(request))
        credential, token = request.credential, request.found_token
        if credential is None or credential.kind == "password":
            return count_request(*caller)
        if credential.kind in ("token", "session"):
            is_valid = token is not None and token.account_id == request.account.pk
            return count_request(*caller, credential.text if is_valid else _INVALID)
        # Whether a key is valid turns out later: `perform_authentication()` counts one that is not.
        refuse_requests_if_spent(*caller, _INVALID)
        return count_request(*caller, credential.text)

    def resolve_version(self, request: APIRequest) -> None:
        if "HTTP_KEYGEN_VERSION" not in request.META and request.account:
            request.version = request.account.api_version

    def check_headers(self, request: APIRequest) -> None:
        parse_accept_signature(request.META.get("HTTP_KEYGEN_ACCEPT_SIGNATURE"), str(request.account.pk))
        if "HTTP_KEYGEN_ENVIRONMENT" in request.META:
            raise EnvironmentNotSupported(header="Keygen-Environment")
        self._refuse_environment(request)

    def _refuse_environment(self, request: APIRequest) -> None:
        """Refuse an environment in the query or in the document.

        A client that thinks that it works in a sandbox would change real data.
        """
        names = [name.partition("[")[0] for name in request.query_params] if request.META.get("QUERY_STRING") else []
        if request.method in WRITES and not isinstance(self.operation.takes, File):
            names += map(snake, self.document)
        if "environment" in names:
            raise EnvironmentNotSupported(parameter="environment")

    def check_account(self, request: APIRequest) -> None:
        if not request.account.is_active and Access.INACTIVE_ACCOUNT not in self.operation.access:
            raise AccountInactive

    def perform_authentication(self, request: Any) -> None:
        try:
            bearer = request.user
        except DomainError as error:
            token = request.found_token
            if isinstance(error, Unauthorized) and request.credential and request.credential.kind == "license":
                count_request(request.account.pk, client_ip(request), _INVALID)
            request.refused_token = token if token and token.account_id == request.account.pk else None
            request.ends_session = isinstance(error, UserBanned)
            raise
        if bearer is None and Access.ANONYMOUS not in self.operation.access:
            raise TokenMissing

    def authorize(self, row: Any = None) -> None:
        # Only an anonymous operation gets here without a bearer.
        if self.request.user is not None:
            require(cast(str, self.operation.permission), self.request.user)
        super().authorize(row)

    def find_credential(self, request: APIRequest) -> Credential | None:
        """The credential of the request; an email and a password only for an action that takes them."""
        takes_password = Access.PASSWORD in self.operation.access
        try:
            credential = parse_credential(request)
        except BytesInvalid:
            if takes_password:
                raise
            return Credential("token", "")
        if credential and credential.kind == "password" and not takes_password:
            return Credential("token", credential.text)
        return credential

    def find_account(self, token: Token | None) -> Account:
        """The account that the URL names, or the only one (contract: platform 1.2)."""
        identifier = self.kwargs.get("account") or settings.ACCOUNT
        if not identifier:
            raise NotFound("account is required")
        if token and token.account.is_named(identifier):
            account: Account | None = token.account
        else:
            account = Account.objects.by_identifier(identifier).first()
        if account is None or (settings.ACCOUNT and not account.is_named(settings.ACCOUNT)):
            raise NotFound.of("account", identifier)
        return account

    # The action ------------------------------------------------------------------------------------------------------

    @property
    def actor(self) -> Bearer:
        """The bearer of the request. An anonymous action reads `request.user`, which may be None."""
        return cast(Bearer, self.request.user)

    @property
    def audit(self) -> AuditContext:
        """The bearer and the caller's reference, for the ledger."""
        return self._audit(parse_reference(self.request))

    def _audit(self, reference: str) -> AuditContext:
        bearer, token = self.request.user, self.request.auth
        return AuditContext(
            bearer_type=bearer.type,
            bearer_id=bearer.id,
            token_id=bearer.token_id,
            token_name=token.name if isinstance(token, Token) and token.name else "",
            request_id=self.request.id,
            reference=reference,
        )

    # The activity ----------------------------------------------------------------------------------------------------

    def row_to_record(self, row: Any) -> Any:
        """The row that the action is about to change: by default the one that the URL names. Override it."""
        return row

    def begin_record(self, event: str, row: Any, document: Any) -> Callable[[Any], None]:
        row = self.row_to_record(row)
        about = None if row is None else Subject.of(row)  # a deleted row has no id afterwards
        old = None
        if row is not None and isinstance(document, Values):
            old = {name: getattr(row, name) for name in document.values}

        def record(result: Any) -> None:
            details: Activity.Details = self.activity_details or {}
            if old is not None:
                details["fields"] = sorted(name for name in old if getattr(row, name) != old[name])
                if not details["fields"]:
                    return
            changed = self.changed_row or row or result
            subject = about if about and changed.pk is None else Subject.of(changed)
            audit = self._audit_of_activity(changed)
            bearer = self.request.user
            name = name_of(bearer.find_row()) if bearer else ""
            Activity.objects.record(event, subject, audit, bearer_name=name, details=details)

        return record

    def _audit_of_activity(self, changed: Any) -> AuditContext:
        """As `audit`, but without a reference that is invalid, which most requests may have.

        Without a credential, e.g. after a password reset by mail, the user is the bearer.
        """
        try:
            reference = parse_reference(self.request)
        except ReferenceInvalid:
            reference = ""
        if self.request.user is not None:
            return self._audit(reference)
        bearer_id = changed.pk if isinstance(changed, User) else None
        return AuditContext(
            bearer_type="users" if bearer_id else "",
            bearer_id=bearer_id,
            request_id=self.request.id,
            reference=reference,
        )

    @classmethod
    def describe_permission(cls, permission: str) -> str:
        roles = ", ".join(sorted(ALLOWED_ROLES[permission])) or "no role"
        return f"Permission `{permission}`: {roles}."

    def defaults(self) -> dict[str, Any]:
        return {"account": self.request.account}

    def check_relationships(self, document: Values) -> None:
        # For a product a row of another product does not exist.
        if document.missing and self.request.user.role == "product":
            raise Forbidden
        super().check_relationships(document)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        account, version = getattr(request, "account", None), getattr(request, "version", None)
        if version is None:  # refused before the version was looked at, or for an unknown version
            version = CURRENT_VERSION
            if response.status_code == 404:
                set_version(request, response)
        else:
            response["Keygen-Version"] = version
        is_old = version != CURRENT_VERSION and self.action not in self.without_versions
        if is_old and response.status_code < 300 and getattr(response, "data", None):
            downgrade(response.data, version, relationships=self.action not in self.with_current_relationships)
        bearer = vars(request).get("_user")  # not `request.user`, which could authenticate once more
        suffix = "-Id" if version <= LAST_WITH_ID_HEADERS else ""
        response["Cache-Control"] = "no-transform, no-store, max-age=0"
        response["Keygen-Edition"] = EDITION
        response["Keygen-Revision"] = settings.REVISION
        response["Keygen-Mode"] = "singleplayer" if settings.ACCOUNT else "multiplayer"
        if rate_limit := getattr(request, "rate_limit", None):
            for name, value in rate_limit.headers.items():
                response.headers.setdefault(name, value)  # a narrower limit may have been reached
        if response.status_code == 401:
            response["WWW-Authenticate"] = build_challenge(request)
        if account:
            response[f"Keygen-Account{suffix}"] = str(account.pk)
        if bearer:
            response[f"Keygen-Bearer{suffix}"] = str(bearer.id)
            if bearer.token_id:
                token_use.note_use(request.found_token)
        refused_token = getattr(request, "refused_token", None)
        if token_id := refused_token.pk if refused_token else bearer and bearer.token_id:
            response[f"Keygen-Token{suffix}"] = str(token_id)
        finish_session(request, response, is_authenticated=bool(bearer))
        return response


class OwnOnly(APIViewSet):
    """Mixin of resources below a user: other users and licenses are refused, even if the resource does not exist.

    They see the user because they share a license. A product is refused a resource that it does not see
    (contract: platform 5.5, 8.9).
    """

    def authorize(self, row: Any = None) -> None:
        super().authorize(row)
        if self.actor.role in ("license", "user") and self.parent_id != self.actor.id:
            raise Forbidden

    def find_row(self, *, locked: bool) -> Any:
        self.authorize()
        try:
            return super().find_row(locked=locked)
        except NotFound:
            if self.actor.role == "product" and self._is_hidden():
                raise Forbidden from None
            raise

    def _is_hidden(self) -> bool:
        """Whether there is such a row below the parent."""
        rows = self.rows(self.action, timezone.now()).filter(account=self.actor.account_id)
        return Lookup.exists(cast(Parent, self.parent).narrow(rows, cast(UUID, self.parent_id)), self.kwargs["pk"])
