"""What every resource of an account does the same way: whose account, which API version, who is asking."""

from typing import cast

from django.conf import settings

from accounts.audit import AuditContext
from accounts.authentication import client_address
from accounts.bearers import Bearer
from accounts.credentials import Credential, challenge, credential_of
from accounts.errors import TokenMissing
from accounts.models import Account, find_token
from accounts.permissions import Forbidden
from accounts.rate_limits import count_request
from accounts.roles import ALLOWED_ROLES
from accounts.signing.algorithms import wanted_algorithm
from keygen_site.jsonapi.errors import DOCUMENTATION, BadRequest, DomainError, NotFound
from keygen_site.jsonapi.versions import downgrade
from keygen_site.jsonapi.viewsets import ResourceViewSet

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8")
CURRENT_VERSION = VERSIONS[-1]


class AccountInactive(DomainError):
    """The account is paused or canceled (contract: platform 7.5)."""

    status = 403
    title = "Account does not have an active subscription"
    detail = "must have an active subscription to access this resource"


class VersionInvalid(BadRequest):
    code = "INVALID_API_VERSION"
    detail = "unsupported API version requested"
    about = f"{DOCUMENTATION}/versioning/"


class EnvironmentNotSupported(BadRequest):
    code = "ENVIRONMENT_NOT_SUPPORTED"
    detail = "is unsupported"


class ReferenceInvalid(BadRequest):
    """`Keygen-Reference`, by which a caller says what an act is for, is kept in the ledger as it is."""

    detail = "must be between 1 and 255 characters, without control characters"
    source = {"header": "Keygen-Reference"}


def reference_of(request):
    """What the caller says it is for, e.g. an order number, or an empty text where nothing is said.

    Raises:
        ReferenceInvalid: it is empty, too long, or no line of text.
    """
    sent = request.META.get("HTTP_KEYGEN_REFERENCE")
    if sent is None:
        return ""
    try:
        text = sent.encode("latin-1").decode().strip()  # WSGI shows the bytes of a header as latin-1
    except UnicodeError:
        raise ReferenceInvalid from None
    if not 1 <= len(text) <= 255 or not text.isprintable():
        raise ReferenceInvalid
    return text


class APIViewSet(ResourceViewSet):
    """Base of the viewsets of everything that belongs to an account.

    `permissions` of a subclass: action -> the permission that it needs.
    `open_when_inactive`: the actions that also a paused or canceled account may do.
    `anonymous`: the actions that need no credential; one that is sent, and is no good, is refused all the same.
        They are asked for in `authorize()` as any other, with None as `request.user`.
    `sign_in_actions`: the actions that take an e-mail and a password for a credential.
    """

    permissions: dict[str, str] = {}
    open_when_inactive: frozenset[str] = frozenset()
    anonymous: frozenset[str] = frozenset()
    sign_in_actions: frozenset[str] = frozenset()

    def begin(self, request):
        request.account = request.counted = None
        request.version = CURRENT_VERSION
        request.found_token = None
        request.credential = credential = self.find_credential(request)
        if credential and credential.kind == "token":
            # One statement finds the token and the account it is of, nearly always the account of the address.
            request.found_token = find_token(credential.text)
        request.account = self.find_account(request.found_token)
        request._request.account = request.account  # whose key signs the answer: `SignatureMiddleware`
        credential_text = credential.text if credential else ""
        request.counted = count_request(request.account.pk, client_address(request), credential_text)
        request.version = self.find_version(request)
        wanted_algorithm(request.META.get("HTTP_KEYGEN_ACCEPT_SIGNATURE"), str(request.account.pk))
        if "HTTP_KEYGEN_ENVIRONMENT" in request.META:
            raise EnvironmentNotSupported(header="Keygen-Environment")
        if not request.account.is_active and self.action not in self.open_when_inactive:
            raise AccountInactive

    def begin_without_account(self, request):
        """What `begin()` does where there is no account yet, and nobody who could ask."""
        request.account = request.credential = None
        request.version = CURRENT_VERSION
        request.version = self.find_version(request)

    def find_credential(self, request):
        """What the request authenticates with; an e-mail and a password only where one signs in by them."""
        credential = credential_of(request)
        if credential and credential.kind == "password" and self.action not in self.sign_in_actions:
            return Credential("token", credential.text)
        return credential

    def find_account(self, token):
        """The account that the address names, or the only one (contract: platform 1.2)."""
        identifier = self.kwargs.get("account") or settings.ACCOUNT
        if not identifier:
            raise NotFound("account is required")
        if token and token.account.is_named(identifier):
            account = token.account
        else:
            account = Account.objects.by_identifier(identifier).first()
        if account is None or (settings.ACCOUNT and not account.is_named(settings.ACCOUNT)):
            raise NotFound.of("account", identifier)
        return account

    def find_version(self, request):
        """The API version of the answer: the request's, or the account's."""
        version = request.META.get("HTTP_KEYGEN_VERSION", "").strip().removeprefix("v")
        if not version:
            version = request.account.api_version if request.account else CURRENT_VERSION
        if version not in VERSIONS:
            raise VersionInvalid
        return version

    def perform_authentication(self, request):
        if request.user is None and self.action not in self.anonymous:
            raise TokenMissing

    @property
    def actor(self) -> Bearer:
        """Who sends the request. In `anonymous` actions there may be none; they ask for `request.user`."""
        return cast(Bearer, self.request.user)

    @property
    def audit(self):
        """Who asks, and what for: for the ledger."""
        bearer = self.request.user
        return AuditContext(
            bearer_type=bearer.type,
            bearer_id=bearer.id,
            request_id=self.request.id,
            reference=reference_of(self.request),
        )

    @classmethod
    def who_may(cls, action):
        permission = cls.permissions[action]
        everybody = " Nobody needs a credential." if action in cls.anonymous else ""
        roles = ", ".join(sorted(ALLOWED_ROLES[permission])) or "nobody"
        return f"Permission `{permission}`: {roles}.{everybody}"

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user)

    def defaults(self):
        return {"account": self.request.account}

    def check_relationships(self, serializer):
        # A product that names something of another product is refused like for something that does not exist.
        if serializer.missing and self.request.user.role == "product":
            raise Forbidden
        super().check_relationships(serializer)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        account, version = getattr(request, "account", None), getattr(request, "version", CURRENT_VERSION)
        if version != CURRENT_VERSION and response.status_code < 300 and getattr(response, "data", None):
            downgrade(response.data, version)
        bearer = vars(request).get("_user")  # not `request.user`, which might ask again
        suffix = "-Id" if version in ("1.0", "1.1", "1.2", "1.3") else ""
        response["Cache-Control"] = "no-transform, no-store, max-age=0"
        response["Keygen-Version"] = version
        response["Keygen-Edition"] = "CE"
        response["Keygen-Revision"] = settings.REVISION
        response["Keygen-Mode"] = "singleplayer" if settings.ACCOUNT else "multiplayer"
        if counted := getattr(request, "counted", None):
            for name, value in counted.headers.items():
                response.headers.setdefault(name, value)  # a narrower limit may have been reached
        if response.status_code == 401:
            response["WWW-Authenticate"] = challenge(request)
        if account:
            response[f"Keygen-Account{suffix}"] = str(account.pk)
        if bearer:
            response[f"Keygen-Bearer{suffix}"] = str(bearer.id)
            if bearer.token_id:
                response[f"Keygen-Token{suffix}"] = str(bearer.token_id)
        return response
