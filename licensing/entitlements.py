"""Attaching entitlements to policies and licenses (contract: entitlements-groups 4, 5)."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from keygen_site.jsonapi.errors import DomainError
from keygen_site.models import must_exist
from licensing.models import Entitlement, License, LicenseEntitlement, Policy, PolicyEntitlement


class EntitlementInherited(DomainError):
    """The license has the entitlement through its policy only, so that it is detached there."""

    status = 403
    title = "Access denied"


class EntitlementNotAttached(DomainError):
    """An entitlement that is to be detached is not attached."""


@transaction.atomic
def attach_to_policy(policy: Policy, entitlement_ids: Sequence[UUID]) -> list[PolicyEntitlement]:
    """Attach entitlements of the account to a policy, all of them or none. The caller locks the policy.

    Licenses that have one of them already keep their own attachment.

    Raises:
        ValidationError: the first entitlement that does not exist, or is attached already.
    """
    attached = set(policy.policy_entitlements.values_list("entitlement", flat=True))
    found = _find(policy.account_id, entitlement_ids, attached)
    return PolicyEntitlement.objects.bulk_create(
        PolicyEntitlement(account=policy.account, policy=policy, entitlement=entitlement) for entitlement in found
    )


@transaction.atomic
def detach_from_policy(policy: Policy, entitlement_ids: Sequence[UUID]) -> None:
    """Detach entitlements from a policy, all of them or none. The caller locks the policy.

    Raises:
        EntitlementNotAttached: the first entitlement that is not attached.
    """
    attached = set(policy.policy_entitlements.values_list("entitlement", flat=True))
    _refuse_unattached(entitlement_ids, attached)
    policy.policy_entitlements.filter(entitlement__in=entitlement_ids).delete()


@transaction.atomic
def attach_to_license(license: License, entitlement_ids: Sequence[UUID]) -> list[LicenseEntitlement]:
    """Attach entitlements of the account to a license, all of them or none. The caller locks the license.

    Raises:
        ValidationError: the first entitlement that does not exist, or that the license or its policy has already.
    """
    own, inherited = _own_and_inherited(license)
    found = _find(license.account_id, entitlement_ids, own, inherited)
    return LicenseEntitlement.objects.bulk_create(
        LicenseEntitlement(account=license.account, license=license, entitlement=entitlement) for entitlement in found
    )


@transaction.atomic
def detach_from_license(license: License, entitlement_ids: Sequence[UUID]) -> None:
    """Detach entitlements from a license, all of them or none. The caller locks the license.

    If the policy has an entitlement too, the license keeps it through the policy.

    Raises:
        EntitlementInherited: the first entitlement that only the policy has.
        EntitlementNotAttached: the first entitlement that is not attached.
    """
    own, inherited = _own_and_inherited(license)
    for index, entitlement_id in enumerate(entitlement_ids):
        if entitlement_id in inherited - own:
            detail = f"cannot detach entitlement '{entitlement_id}' (entitlement is attached through policy)"
            raise EntitlementInherited(detail, pointer=f"/data/{index}")
    _refuse_unattached(entitlement_ids, own)
    license.license_entitlements.filter(entitlement__in=entitlement_ids).delete()


def _own_and_inherited(license: License) -> tuple[set[UUID], set[UUID]]:
    """The ids of the entitlements that are attached to a license, and of those attached to its policy."""
    return (
        set(license.license_entitlements.values_list("entitlement", flat=True)),
        set(license.policy.policy_entitlements.values_list("entitlement", flat=True)),
    )


def _find(
    account_id: UUID, entitlement_ids: Sequence[UUID], attached: set[UUID], inherited: Collection[UUID] = ()
) -> list[Entitlement]:
    """The entitlements with these ids, in this order.

    Raises:
        ValidationError: the first that does not exist, is attached or inherited, or has been named before.
    """
    entitlements = Entitlement.objects.filter(account=account_id).in_bulk(entitlement_ids)
    for index, entitlement_id in enumerate(entitlement_ids):
        errors = []
        if entitlement_id not in entitlements:
            errors.append(must_exist())
        if entitlement_id in attached or entitlement_id in entitlement_ids[:index]:
            errors.append(ValidationError("already exists", code="taken"))
        if entitlement_id in inherited:
            detail = "already exists (entitlement is attached through policy)"
            errors.append(ValidationError(detail, code="conflict"))
        if errors:
            raise ValidationError({"entitlement": errors})
    return [entitlements[entitlement_id] for entitlement_id in entitlement_ids]


def _refuse_unattached(entitlement_ids: Sequence[UUID], attached: set[UUID]) -> None:
    for index, entitlement_id in enumerate(entitlement_ids):
        if entitlement_id not in attached:
            detail = f"cannot detach entitlement '{entitlement_id}' (entitlement is not attached)"
            raise EntitlementNotAttached(detail, pointer=f"/data/{index}")
