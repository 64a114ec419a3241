"""The relationships of licenses, and the users and tokens of a license (contract: licenses 8)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.decorators import action

from accounts.api.serializers.tokens import LICENSE_TOKEN, TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.models import User
from accounts.models.tokens import content_type_of
from accounts.permissions import Forbidden
from keygen_site.db.compiled_queries import CompiledQuery, sample_time, sample_uuid
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.operations import REFUSES, Gives, operation
from keygen_site.jsonapi.request_documents import Members, Schema, identifier
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.types import ARRAY
from keygen_site.jsonapi.viewsets import ListMixin, RetrieveMixin
from licensing.api.serializers.licenses import LicenseSerializer, LicenseUserSerializer, owner_name
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.license_base import LicenseAddressed, LicenseBase
from licensing.api.viewsets.nested import StaffAndProductOnly
from licensing.models import License, LicenseUser, Policy, Product
from licensing.models.holders import holders_of_licenses
from licensing.services import attach_users, change_owner, change_policy, detach_users

MAX_USERS_PER_REQUEST = 100

_LICENSES = License.objects.select_related("policy", "owner")
_OWNER: CompiledQuery[User] = CompiledQuery(
    lambda bearer, uuid, now: User.objects.with_activity(now).visible_to(bearer).filter(pk=uuid),
    sample_uuid(),
    sample_time(),
)
_POLICY = {"data": identifier("policies", "policy")}
_USER = {"data": identifier("users", "user", nullable=True)}
_USERS: Members = {"data": Schema(ARRAY, required=True, blank=True, items=identifier("users", "user"))}


class LicenseRelationships(LicenseBase):
    """Mixin of the viewset of licenses: the resources that a license is related to."""

    # These show `owner` in every version (contract: licenses 2.4).
    with_current_relationships = frozenset({"change_owner", "change_policy"})

    @action(detail=True)
    @operation("Show the product of a license", permission="product.read", gives=ProductSerializer)
    def product(self, request: APIRequest, license: License) -> Product:
        return license.product

    # The policy ------------------------------------------------------------------------------------------------------

    @action(detail=True)
    @operation("Show the policy of a license", permission="policy.read", gives=PolicySerializer)
    def policy(self, request: APIRequest, license: License) -> Policy:
        return license.policy

    @policy.mapping.put
    @policy.mapping.patch
    @operation(
        "Put a license under another policy",
        permission="license.policy.update",
        takes=_POLICY,
        gives=LicenseSerializer,
        locks=True,
        document_first=True,
    )
    def change_policy(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        bearer = request.user
        policy = LicenseSerializer.find_related("policy", document["data"]["id"], bearer)
        if policy is None and bearer.role == "product":
            raise Forbidden
        if policy is None:
            raise _must_exist_error("policy")
        if bearer.role == "user" and policy.protected:
            raise Forbidden
        change_policy(license, policy)
        return license

    # The owner -------------------------------------------------------------------------------------------------------

    @action(detail=True)
    @operation("Show the owner of a license", permission="user.read", gives=Gives(UserSerializer, nullable=True))
    def owner(self, request: APIRequest, license: License) -> User | None:
        return self._find_owner(license)

    @owner.mapping.put
    @owner.mapping.patch
    @operation(
        "Give a license another owner, or none",
        permission="license.owner.update",
        takes=_USER,
        gives=LicenseSerializer,
        locks=True,
    )
    def change_owner(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        return self._change_owner(license, document)

    @action(detail=True, url_path="user")
    @operation(
        "Show the owner of a license",
        permission="user.read",
        gives=Gives(UserSerializer, nullable=True),
        deprecated=True,
    )
    def former_owner(self, request: APIRequest, license: License) -> User | None:
        """As `owner`, which is the name since version 1.6."""
        return self._find_owner(license)

    @former_owner.mapping.put
    @former_owner.mapping.patch
    @operation(
        "Give a license another owner, or none",
        permission="license.owner.update",
        takes=_USER,
        gives=LicenseSerializer,
        locks=True,
        deprecated=True,
    )
    def change_former_owner(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        """As `owner`, which is the name since version 1.6."""
        return self._change_owner(license, document, name=owner_name(request.version))

    def _change_owner(self, license: License, document: dict[str, Any], name: str = "owner") -> License:
        linked = document["data"]
        owner = linked and LicenseSerializer.find_related("owner", linked["id"], self.request.user)
        if linked and owner is None:
            raise _must_exist_error(name)
        change_owner(license, owner)
        return license

    def _find_owner(self, license: License) -> User | None:
        """The owner, or None also if the bearer may not see them: staff may make a colleague an owner."""
        return _OWNER.first(license.owner_id, timezone.now(), bearer=self.actor) if license.owner_id else None

    # Relationships that are not supported ----------------------------------------------------------------------------

    @action(detail=True)
    @operation("Show the group of a license", permission="license.read", gives=REFUSES)
    def group(self, request: APIRequest, license: License) -> None:
        """Groups are not supported."""
        raise NotFound("The requested group was not found")

    @action(detail=True)
    @operation("List the entitlements of a license", permission="license.read", gives=Gives(paged=True))
    def entitlements(self, request: APIRequest, license: License) -> HttpResponseBase:
        """Entitlements are not supported: the list is empty."""
        return self._empty_page()

    @action(detail=True, url_path="entitlements/(?P<entitlement>[^/]+)")
    @operation("Show an entitlement of a license", permission="license.read", gives=REFUSES)
    def entitlement(self, request: APIRequest, license: License) -> None:
        """Entitlements are not supported."""
        raise NotFound.of("entitlement", self.kwargs["entitlement"])

    @action(detail=True)
    @operation("List the machines of a license", permission="license.read", gives=Gives(paged=True))
    def machines(self, request: APIRequest, license: License) -> HttpResponseBase:
        """Machines are not supported: the list is empty."""
        return self._empty_page()

    @action(detail=True, url_path="machines/(?P<machine>[^/]+)")
    @operation("Show a machine of a license", permission="license.read", gives=REFUSES)
    def machine(self, request: APIRequest, license: License) -> None:
        """Machines are not supported."""
        raise NotFound.of("machine", self.kwargs["machine"])

    def _empty_page(self) -> HttpResponseBase:
        """A page without rows; its query is validated as that of any page."""
        return self.get_paginated_response(self.paginate_queryset(License.objects.none()))


def _must_exist_error(name: str) -> ValidationError:
    return ValidationError({name: ValidationError("must exist", code="not_found")})


class LicenseUserViewSet(RetrieveMixin, ListMixin, LicenseAddressed):
    """The users of a license: its owner and the attached ones."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    parent = Parent(
        "license", _LICENSES, narrow=lambda users, license_id: users.filter(holders_of_licenses([license_id]))
    )
    license: License

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        return User.objects.with_activity(now)

    @operation(
        "Attach users to a license, 1 to 100",
        permission="license.users.attach",
        takes=_USERS,
        gives=Gives(LicenseUserSerializer, many=True),
        locks=True,
        idempotent=True,
        document_first=True,
    )
    def attach(self, request: APIRequest, document: list[UUID]) -> list[Any]:
        self.serializer_class = LicenseUserSerializer  # for the pointers of errors
        users = User.objects.visible_to(request.user).in_bulk(document)
        if not users.keys() >= set(document):
            raise _must_exist_error("user")
        return attach_users(self._lock_license(), [users[user_id] for user_id in document])

    def rows_to_show_again(self, ids: list[str]) -> Rows:
        return LicenseUser.objects.filter(license=self.license, pk__in=ids)

    @operation(
        "Detach users from a license, 1 to 100",
        permission="license.users.detach",
        takes=_USERS,
        locks=True,
        document_first=True,
    )
    def detach(self, request: APIRequest, document: list[UUID]) -> None:
        detach_users(self._lock_license(), document)

    def read_document(self, row: Any) -> list[UUID] | None:
        """The ids of the users in the document.

        Raises:
            BadRequest: the document is malformed, or has too few or too many users.
        """
        document = super().read_document(row)
        if document is None:
            return None
        users = document["data"]
        if not 1 <= len(users) <= MAX_USERS_PER_REQUEST:
            detail = f"length must be between 1 and {MAX_USERS_PER_REQUEST} (inclusive)"
            raise BadRequest(detail, pointer="/data")
        return [user["id"] for user in users]

    def _lock_license(self) -> License:
        """The license, locked, so that concurrent changes of its users do not overlap."""
        licenses = License.objects.with_api_fields().select_for_update(of=("self",))
        license = licenses.filter(pk=self.license.pk).first()
        if license is None:
            raise NotFound.of("license", str(self.license.pk))
        return license


class LicenseTokenViewSet(LicenseAddressed, StaffAndProductOnly, BearerTokenViewSet):
    """The tokens of a license."""

    parent = Parent(
        "license",
        _LICENSES,
        narrow=lambda tokens, license_id: tokens.filter(bearer_type=content_type_of(License), bearer_id=license_id),
    )
    license: License

    @operation(
        "Make a token for a license",
        permission="license.tokens.generate",
        takes=LICENSE_TOKEN,
        gives=TokenSerializer,
        locks=False,
        idempotent=False,
        document_first=True,
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> dict[str, Any]:
        """The token's text is in this response only."""
        return self.create_token(self.license, document)
