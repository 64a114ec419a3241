"""Entitlements for tests."""

from licensing.models import Entitlement


def make_entitlement(account, code="OFFLINE", name="Offline mode", **fields):
    entitlement = Entitlement(account=account, code=code, name=name, **fields)
    entitlement.validate_and_save()
    return entitlement


def attach(row, *entitlements):
    """Attach entitlements to a policy or a license."""
    links = row.policy_entitlements if hasattr(row, "policy_entitlements") else row.license_entitlements
    for entitlement in entitlements:
        links.create(account=row.account, entitlement=entitlement)
