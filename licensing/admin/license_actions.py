"""Actions of operators on licenses."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from django.urls import reverse

from accounts.admin.actions import RowAction
from accounts.admin.base import ConsoleAdmin
from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import DomainError
from licensing.models import License


def name_license(license: License) -> str:
    """A license as its customer knows it, or by its name or masked key: the rest of "the license …"."""
    return f"of {license.owner}" if license.owner else str(license)


class LicenseAction(RowAction):
    """An action on licenses. Its page and its message name the customer."""

    def title(self, rows: Sequence[License]) -> str:
        return f"{self.label} the license {name_license(rows[0])}?" if len(rows) == 1 else super().title(rows)

    def result_of_one(self, row: License) -> str:
        return f"License {name_license(row)} {self.past_tense.lower()}"


class Suspend(LicenseAction):
    name, label, past_tense, permission = "suspend", "Suspend", "Suspended", "licensing.suspend_license"

    def applies_to(self, license: License) -> bool:
        return not license.suspended

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        if len(licenses) > 1:
            return ["The licenses stop working until you reinstate them."]
        return ["The license stops working until you reinstate it."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.suspend()


class Reinstate(LicenseAction):
    name, label, past_tense, permission = "reinstate", "Reinstate", "Reinstated", "licensing.suspend_license"

    def applies_to(self, license: License) -> bool:
        return license.suspended

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return ["The license works again." if len(licenses) == 1 else "The licenses work again."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.reinstate()


class Renew(LicenseAction):
    name, label, past_tense, permission = "renew", "Renew", "Renewed", "licensing.renew_license"

    def applies_to(self, license: License) -> bool:
        return bool(license.policy.duration and license.expiry)

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        if len(licenses) > 1:
            return ["Each license gets a later expiry, by the duration of its terms."]
        try:
            expiry = licenses[0].renewed_expiry()
        except DomainError as error:
            return [f"The license {error.detail}."]
        return [f"New expiry: {expiry.astimezone(UTC):%-d %b %Y, %H:%M} UTC. {_describe_expiry(licenses[0])}"]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.renew()

    def result_of_one(self, row: License) -> str:
        expiry = License.objects.values_list("expiry", flat=True).get(pk=row.pk)
        until = f" until {expiry.astimezone(UTC):%-d %b %Y}" if expiry else ""
        return f"License {name_license(row)} renewed{until}"


def _describe_expiry(license: License) -> str:
    assert license.expiry
    verb = "It expired" if license.status == "EXPIRED" else "Now it expires"
    return f"{verb} on {license.expiry.astimezone(UTC):%-d %b %Y, %H:%M} UTC."


class Revoke(LicenseAction):
    name, label, past_tense, permission, danger = "revoke", "Revoke", "Revoked", "licensing.revoke_license", True

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        if len(licenses) == 1:
            lines = ["The license is deleted, with its API tokens. Its key stays used and is given to no one else."]
        else:
            lines = ["The licenses are deleted, with their API tokens. Their keys stay used and are not given away."]
        return [*lines, "This cannot be undone. Suspend instead if the customer may come back."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.delete()

    def next_page(self, admin: ConsoleAdmin, rows: Sequence[License]) -> str:
        return reverse("admin:licensing_license_changelist")
