"""Entitlements over HTTP: the account's, and those of policies and licenses."""

from typing import Any
from uuid import UUID

from accounts.api.attachments import AttachmentViewSet, identifiers
from accounts.api.base import APIViewSet
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.lookups import Parent, not_found
from keygen_site.jsonapi.operations import Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.serializers.entitlements import (
    EntitlementSerializer,
    LicenseEntitlementSerializer,
    PolicyEntitlementSerializer,
)
from licensing.api.viewsets.license_base import LicenseAddressed
from licensing.api.viewsets.nested import StaffAndProductOnly
from licensing.entitlements import (
    EntitlementInherited,
    attach_to_license,
    attach_to_policy,
    detach_from_license,
    detach_from_policy,
)
from licensing.models import Entitlement, License, Policy

_ENTITLEMENTS = identifiers("entitlements", "entitlement")


class EntitlementViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The entitlements of an account (contract: entitlements-groups 3)."""

    queryset = Entitlement.objects.all()
    serializer_class = EntitlementSerializer
    names_have_suffixes = True


class AttachedEntitlements(RetrieveMixin, ListMixin, AttachmentViewSet):
    """Base of the viewsets of attached entitlements, which URLs name by their ids only."""

    queryset = Entitlement.objects.all()
    serializer_class = EntitlementSerializer

    def find_row(self, *, locked: bool) -> Any:
        if parse_uuid(self.kwargs["pk"]) is None:
            raise not_found(Entitlement, self.kwargs["pk"])
        return super().find_row(locked=locked)


class PolicyEntitlementViewSet(StaffAndProductOnly, AttachedEntitlements):
    """The entitlements of a policy, which all its licenses have (contract: entitlements-groups 4)."""

    attachment_serializer = PolicyEntitlementSerializer
    parent = Parent(
        "policy", Policy.objects.all(), narrow=lambda entitlements, policy_id: entitlements.of_policy(policy_id)
    )
    policy: Policy

    @operation(
        "Attach entitlements to a policy, 1 to 100",
        permission="policy.entitlements.attach",
        takes=_ENTITLEMENTS,
        gives=Gives(PolicyEntitlementSerializer, many=True),
        locks=True,
        idempotent=True,
        document_first=True,
        records="entitlements-attached",
    )
    def attach(self, request: APIRequest, document: list[UUID]) -> list[Any]:
        return attach_to_policy(self.lock_parent(), document)

    @operation(
        "Detach entitlements from a policy, 1 to 100",
        permission="policy.entitlements.detach",
        takes=_ENTITLEMENTS,
        locks=True,
        document_first=True,
        records="entitlements-detached",
    )
    def detach(self, request: APIRequest, document: list[UUID]) -> None:
        detach_from_policy(self.lock_parent(), document)


class LicenseEntitlementViewSet(AttachedEntitlements, LicenseAddressed):
    """The entitlements of a license: its own and those of its policy (contract: entitlements-groups 5)."""

    attachment_serializer = LicenseEntitlementSerializer
    parent = Parent(
        "license",
        License.objects.select_related("policy"),
        narrow=lambda entitlements, license_id: entitlements.of_license(license_id),
    )
    license: License

    @operation(
        "Attach entitlements to a license, 1 to 100",
        permission="license.entitlements.attach",
        takes=_ENTITLEMENTS,
        gives=Gives(LicenseEntitlementSerializer, many=True),
        locks=True,
        idempotent=True,
        document_first=True,
        records="entitlements-attached",
    )
    def attach(self, request: APIRequest, document: list[UUID]) -> list[Any]:
        return attach_to_license(self.lock_parent(), document)

    @operation(
        "Detach entitlements from a license, 1 to 100",
        permission="license.entitlements.detach",
        takes=_ENTITLEMENTS,
        locks=True,
        document_first=True,
        records="entitlements-detached",
        errors=(EntitlementInherited,),
    )
    def detach(self, request: APIRequest, document: list[UUID]) -> None:
        detach_from_license(self.lock_parent(), document)
