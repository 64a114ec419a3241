"""What a license belongs to, and what belongs to it (contract: licenses 8)."""

from django.core.exceptions import ValidationError
from django.db import transaction
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.models import User
from accounts.permissions import Forbidden
from keygen_site.jsonapi.errors import BadRequest, EndpointNotFound, NotFound
from keygen_site.jsonapi.viewsets import ListMixin, RetrieveMixin
from licensing.api import operations
from licensing.api.serializers.licenses import LicenseSerializer, LicenseUserSerializer
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.api.viewsets.license_base import LicenseBase
from licensing.api.viewsets.nested import StaffAndProductOnly
from licensing.models import License, Policy
from licensing.services import attach_users, change_owner, change_policy, detach_users

MOST_AT_ONCE = 100
LAST_WITH_USER = "1.5"  # the last version of the API that called the owner of a license its user


class LicenseRelationships(LicenseBase):
    """Mixin of the viewset of licenses: to whom and to what one belongs, and what there is none of."""

    @action(detail=True)
    def product(self, request, *args, **kwargs):
        return Response(ProductSerializer.resource_object(self.get_object().product))

    @action(detail=True)
    def policy(self, request, *args, **kwargs):
        return Response(PolicySerializer.resource_object(self.get_object().policy))

    @policy.mapping.put
    @policy.mapping.patch
    @transaction.atomic
    def change_policy(self, request, *args, **kwargs):
        license = self.look_up()
        policy_id = self.document()["data"]["id"]
        self.authorize_for(license)
        change_policy(license, self._new_policy(policy_id))
        return Response(LicenseSerializer.resource_object(license))

    def _new_policy(self, policy_id):
        bearer = self.request.user
        policies = Policy.objects.select_related("account", "product").filter(account=bearer.account_id)
        if bearer.role != "user":  # who may choose terms that they do not see yet
            policies = policies.visible_to(bearer)
        policy = policies.filter(pk=policy_id).first()
        if policy is None and bearer.role == "product":
            raise Forbidden
        if policy is None:
            raise _missing("policy")
        if bearer.role == "user" and policy.protected:
            raise Forbidden
        return policy

    @action(detail=True)
    def owner(self, request, *args, **kwargs):
        owner = User.objects.with_activity().filter(pk=self.get_object().owner_id).first()
        return Response(owner and UserSerializer.resource_object(owner))

    @owner.mapping.put
    @owner.mapping.patch
    @transaction.atomic
    def change_owner(self, request, *args, **kwargs):
        license = self.get_object()
        linked = self.document()["data"]
        owner = linked and User.objects.visible_to(request.user).filter(pk=linked["id"]).first()
        if linked and owner is None:
            raise _missing("owner")
        change_owner(license, owner)
        return Response(LicenseSerializer.resource_object(license))

    @action(detail=True, url_path="user")
    def former_owner(self, request, *args, **kwargs):
        """The owner, as it was called in earlier versions of the API."""
        self._refuse_later_versions()
        return self.owner(request)

    @former_owner.mapping.put
    @former_owner.mapping.patch
    def change_former_owner(self, request, *args, **kwargs):
        self._refuse_later_versions()
        return self.change_owner(request)

    def _refuse_later_versions(self):
        if self.request.version > LAST_WITH_USER:
            raise EndpointNotFound

    @action(detail=True)
    def group(self, request, *args, **kwargs):
        self.get_object()
        raise NotFound("The requested group was not found")

    @action(detail=True)
    def entitlements(self, request, *args, **kwargs):
        return self._nothing()

    @action(detail=True, url_path="entitlements/(?P<entitlement>[^/]+)")
    def entitlement(self, request, *args, entitlement, **kwargs):
        self.get_object()
        raise NotFound.of("entitlement", entitlement)

    @action(detail=True)
    def machines(self, request, *args, **kwargs):
        return self._nothing()

    @action(detail=True, url_path="machines/(?P<machine>[^/]+)")
    def machine(self, request, *args, machine, **kwargs):
        self.get_object()
        raise NotFound.of("machine", machine)

    def _nothing(self):
        """The list of what is not built: a page of it, so that what the query asks for is looked at."""
        self.get_object()
        return self.get_paginated_response(self.paginate_queryset(License.objects.none()))


def _missing(name):
    return ValidationError({name: ValidationError("must exist", code="not_found")})


class OfLicense:
    """Mixin of what is below a license, which the address names by id or key."""

    def find_parent(self):
        licenses = License.objects.select_related("policy", "owner").visible_to(self.request.user)
        self.license = self.find(licenses, self.kwargs["license"])


class LicenseUserViewSet(OfLicense, RetrieveMixin, ListMixin, APIViewSet):
    """The users of a license: its owner, and those attached to it."""

    queryset = User.objects.with_activity()
    serializer_class = UserSerializer
    operations = operations.LICENSE_USERS
    permissions = {
        "list": "user.read",
        "retrieve": "user.read",
        "attach": "license.users.attach",
        "detach": "license.users.detach",
    }
    shape_before_permission = frozenset({"attach", "detach"})

    def get_queryset(self):
        return super().get_queryset().for_license(self.license.pk)

    @transaction.atomic
    def attach(self, request, *args, **kwargs):
        self.serializer_class = LicenseUserSerializer  # errors are of these
        user_ids = self._user_ids()
        self.authorize()
        users = User.objects.visible_to(request.user).in_bulk(user_ids)
        if not users.keys() >= set(user_ids):
            raise _missing("user")
        added = attach_users(self._held(), [users[user_id] for user_id in user_ids])
        return Response([LicenseUserSerializer.resource_object(each) for each in added])

    @transaction.atomic
    def detach(self, request, *args, **kwargs):
        user_ids = self._user_ids()
        self.authorize()
        detach_users(self._held(), user_ids)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _held(self):
        """The license, so that two who change its users are one after the other."""
        return self.find(License.objects.with_api_fields().select_for_update(of=("self",)), str(self.license.pk))

    def _user_ids(self):
        users = self.document()["data"]
        if not 1 <= len(users) <= MOST_AT_ONCE:
            detail = f"length must be between 1 and {MOST_AT_ONCE} (inclusive)"
            raise BadRequest(detail, pointer="/data")
        return [user["id"] for user in users]


class LicenseTokenViewSet(OfLicense, StaffAndProductOnly, BearerTokenViewSet):
    """The tokens that speak for a license."""

    operations = operations.LICENSE_TOKENS
    permissions = BearerTokenViewSet.permissions | {"create": "license.tokens.generate"}

    def find_parent(self):
        super().find_parent()
        self.bearer = self.license
