"""The relationships of licenses, and the users and tokens of a license (contract: licenses 8)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from rest_framework.decorators import action

from accounts.api.attachments import AttachmentViewSet, identifiers
from accounts.api.serializers.groups import GROUP, GroupSerializer
from accounts.api.serializers.tokens import LICENSE_TOKEN, TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.groups import read_group
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.api.viewsets.users import find_user
from accounts.models import Group, User
from accounts.models.activity import name_of
from accounts.models.tokens import content_type_of
from accounts.permissions import Forbidden
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.operations import Gives, operation
from keygen_site.jsonapi.request_documents import identifier
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import ListMixin, RetrieveMixin
from keygen_site.models import must_exist
from licensing.api.serializers.licenses import LicenseSerializer, LicenseUserSerializer, owner_name
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.license_base import LicenseAddressed, LicenseBase
from licensing.api.viewsets.nested import StaffAndProductOnly
from licensing.models import License, Policy, Product
from licensing.models.holders import holders_of_licenses
from licensing.services import (
    OwnerIsAttached,
    PolicyNotCompatible,
    UserLimitExceeded,
    attach_users,
    change_owner,
    change_policy,
    detach_users,
)

_LICENSES = License.objects.select_related("policy", "owner")
_POLICY = {"data": identifier("policies", "policy")}
_USER = {"data": identifier("users", "user", nullable=True)}
_USERS = identifiers("users", "user")


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
        records="policy-changed",
        errors=(PolicyNotCompatible,),
    )
    def change_policy(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        bearer = request.user
        policy = LicenseSerializer.find_related("policy", document["data"]["id"], bearer)
        if policy is None and bearer.role == "product":
            raise Forbidden
        if policy is None:
            raise ValidationError({"policy": must_exist()})
        if bearer.role == "user" and policy.protected:
            raise Forbidden
        change_policy(license, policy)
        self.activity_details = {"to": name_of(policy)}
        return license

    # The owner -------------------------------------------------------------------------------------------------------

    @action(detail=True)
    @operation("Show the owner of a license", permission="user.read", gives=Gives(UserSerializer, nullable=True))
    def owner(self, request: APIRequest, license: License) -> User | None:
        return find_user(license.owner_id, self.actor)

    @owner.mapping.put
    @owner.mapping.patch
    @operation(
        "Give a license another owner, or none",
        permission="license.owner.update",
        takes=_USER,
        gives=LicenseSerializer,
        locks=True,
        records="owner-changed",
        errors=(
            OwnerIsAttached,
            UserLimitExceeded,
        ),
    )
    def change_owner(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        return self._change_owner(license, document)

    @action(detail=True, url_path="user")
    @operation(
        "Show the owner of a license, by its earlier name",
        permission="user.read",
        gives=Gives(UserSerializer, nullable=True),
        deprecated=True,
    )
    def former_owner(self, request: APIRequest, license: License) -> User | None:
        """As `owner`, which is the name since version 1.6."""
        return find_user(license.owner_id, self.actor)

    @former_owner.mapping.put
    @former_owner.mapping.patch
    @operation(
        "Give a license another owner, or none, by its earlier name",
        permission="license.owner.update",
        takes=_USER,
        gives=LicenseSerializer,
        locks=True,
        records="owner-changed",
        deprecated=True,
        errors=(
            OwnerIsAttached,
            UserLimitExceeded,
        ),
    )
    def change_former_owner(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        """As `owner`, which is the name since version 1.6."""
        return self._change_owner(license, document, name=owner_name(request.version))

    def _change_owner(self, license: License, document: dict[str, Any], name: str = "owner") -> License:
        linked = document["data"]
        owner = linked and LicenseSerializer.find_related("owner", linked["id"], self.request.user)
        if linked and owner is None:
            raise ValidationError({name: must_exist()})
        change_owner(license, owner)
        self.activity_details = {"to": name_of(owner)}
        return license

    # The group -------------------------------------------------------------------------------------------------------

    @action(detail=True)
    @operation("Show the group of a license", permission="group.read", gives=GroupSerializer)
    def group(self, request: APIRequest, license: License) -> Group:
        """A license without a group is 404."""
        if license.group is None:
            raise NotFound("The requested group was not found")
        return license.group

    @group.mapping.put
    @group.mapping.patch
    @operation(
        "Move a license to a group, or out of its group",
        permission="license.group.update",
        takes=GROUP,
        gives=LicenseSerializer,
        locks=True,
        document_first=True,
        records="group-changed",
    )
    def change_group(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        group = read_group(document, self.actor)
        license.change_group(group)
        self.activity_details = {"to": name_of(group)}
        return license


class LicenseUserViewSet(RetrieveMixin, ListMixin, AttachmentViewSet, LicenseAddressed):
    """The users of a license: its owner and the attached ones."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    attachment_serializer = LicenseUserSerializer
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
        records="users-attached",
        errors=(UserLimitExceeded,),
    )
    def attach(self, request: APIRequest, document: list[UUID]) -> list[Any]:
        users = User.objects.visible_to(request.user).in_bulk(document)
        if not users.keys() >= set(document):
            raise ValidationError({"user": must_exist()})
        return attach_users(self.lock_parent(), [users[user_id] for user_id in document])

    @operation(
        "Detach users from a license, 1 to 100",
        permission="license.users.detach",
        takes=_USERS,
        locks=True,
        document_first=True,
        records="users-detached",
    )
    def detach(self, request: APIRequest, document: list[UUID]) -> None:
        detach_users(self.lock_parent(), document)


class LicenseTokenViewSet(LicenseAddressed, StaffAndProductOnly, BearerTokenViewSet):
    """The tokens of a license."""

    parent = Parent(
        "license",
        _LICENSES,
        narrow=lambda tokens, license_id: tokens.filter(bearer_type=content_type_of(License), bearer_id=license_id),
    )
    license: License

    @operation(
        "Create a token for a license",
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
