"""Accounts over HTTP."""

from typing import Any

from django.conf import settings

from accounts.api.base import APIViewSet
from accounts.api.serializers.accounts import NEW_ACCOUNT, AccountSerializer, parse_new_account
from accounts.api.serializers.users import UserSerializer
from accounts.authentication import client_ip
from accounts.models import Account
from accounts.permissions import Forbidden
from accounts.rate_limits import count_sign_up
from accounts.services import AdminsInvalid, propose_name, sign_up
from keygen_site.jsonapi.errors import DOCUMENTATION, DomainError, EndpointNotFound, MimeTypeInvalid
from keygen_site.jsonapi.exceptions import validation_errors
from keygen_site.jsonapi.negotiation import BINARY
from keygen_site.jsonapi.operations import OWN, REFUSES, RESOURCE, Access, Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.versions import CURRENT_VERSION, parse_version


class OwnAccountViewSet(APIViewSet):
    """The account itself (contract: platform 7)."""

    queryset = Account.objects.all()
    serializer_class = AccountSerializer

    def negotiate(self, request: APIRequest) -> None:
        if request.META.get("HTTP_ACCEPT") == BINARY:
            raise MimeTypeInvalid  # unlike for the resources of the account (contract: platform 2.1)
        super().negotiate(request)

    def authorize(self, row: Any = None) -> None:
        if self.action == "destroy":
            raise Forbidden
        super().authorize(row)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.action == "partial_update" and response.status_code == 200 and not parse_version(request):
            response["Keygen-Version"] = request.account.api_version  # which this request may have changed
        return response

    @operation("Show the account", gives=OWN, access=Access.INACTIVE_ACCOUNT)
    def retrieve(self, request: APIRequest) -> Account:
        return request.account

    def row_to_record(self, row: Any) -> Account:
        return self.request.account

    @operation("Change the account", takes=RESOURCE, gives=OWN, locks=False, access=Access.INACTIVE_ACCOUNT)
    def partial_update(self, request: APIRequest, document: Values) -> Account:
        """Attributes that the document omits keep their values."""
        AccountSerializer.update_row(request.account, document.values)
        return request.account

    @operation("Delete the account", gives=REFUSES, locks=False, access=Access.INACTIVE_ACCOUNT)
    def destroy(self, request: APIRequest) -> None:
        """Always refused: only the operator of the server may."""


class NewAccountViewSet(APIViewSet):
    """Sign-up, where the operator of the server allows it (contract: platform 7.3)."""

    queryset = Account.objects.all()
    serializer_class = AccountSerializer

    def resolve_account(self, request: APIRequest) -> None:
        if settings.ACCOUNT or not settings.SIGN_UP:
            raise EndpointNotFound
        request.account = request.credential = None
        request.version = parse_version(request) or CURRENT_VERSION

    def check_headers(self, request: APIRequest) -> None:
        """There is no account yet that could sign the response."""

    def check_account(self, request: APIRequest) -> None:
        """There is no account yet."""

    @operation(
        "Create an account with its admins",
        takes=NEW_ACCOUNT,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=False,
        document_first=True,
        access=Access.ANONYMOUS,
        counts_attempts=True,
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> Account:
        """Where the operator of the server allows it (setting `SIGN_UP`). The setting `SIGN_UPS_PER_HOUR` limits the
        number from one IP address."""
        count_sign_up(client_ip(request))
        fields, admins = parse_new_account(document)
        name, slug = propose_name(admins[-1]["email"])
        defaults = {"name": fields.get("slug", name), "slug": slug, "api_version": request.version}
        try:
            return sign_up(admins=admins, **(defaults | fields))
        except AdminsInvalid as refused:
            first, *others = _admin_errors(refused)
            first.also = others
            raise first from None


def _admin_errors(refused: AdminsInvalid) -> list[DomainError]:
    """The errors of all admins, each at the admin's own values (contract: platform 4.3)."""
    found = []
    for index, error in refused.errors.items():
        for problem in validation_errors(error, UserSerializer):
            pointer = (problem.source or {})["pointer"]
            problem.source = {"pointer": pointer.replace("/data", f"/data/relationships/admins/data/{index}", 1)}
            problem.code = f"ADMINS_{problem.code}"
            problem.about = f"{DOCUMENTATION}/accounts/#accounts-object-relationships-admins"
            found.append(problem)
    return found
