"""Actions of operators on entitlements, and on the policies and licenses that have them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from accounts.admin.actions import RowAction, operator_of
from accounts.audit import AuditContext
from accounts.models import Activity
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from licensing.entitlements import (
    EntitlementInherited,
    EntitlementNotAttached,
    attach_to_license,
    attach_to_policy,
    detach_from_license,
    detach_from_policy,
)
from licensing.models import Entitlement, License, Policy

MAX_CHOICES = 500
NONE_YET = "There are no entitlements yet. Add the first one: Policies, then Entitlements."


class EntitlementsForm(forms.Form):
    """The entitlements of a row. `before` has those that it had when the form was opened: only changes are saved."""

    before = forms.CharField(required=False, widget=forms.HiddenInput)
    entitlements = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "One of these entitlements was deleted. Nothing was changed."},
    )

    def __init__(self, data: Any, *, choices: list[tuple[str, str]], initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        self.fields["entitlements"].choices = choices  # type: ignore[attr-defined]


class ChangeEntitlements(RowAction):
    """Attaches and detaches the entitlements of a row."""

    name, label, past_tense = "entitlements", "Change entitlements", "Changed the entitlements"
    for_many, in_header = False, False
    form_class = EntitlementsForm

    @abstractmethod
    def attached_to(self, row: Any) -> "QuerySet[Entitlement]":
        """The entitlements that are attached to the row itself."""

    def choices_for(self, row: Any) -> "QuerySet[Entitlement]":
        """The entitlements that can be attached to the row, and those that are."""
        return Entitlement.objects.filter(account=row.account_id)

    @abstractmethod
    def attach(self, row: Any, ids: Sequence[UUID]) -> None:
        """Attach entitlements to the row."""

    @abstractmethod
    def detach(self, row: Any, ids: Sequence[UUID]) -> None:
        """Detach entitlements from the row."""

    def unsafe_because(self, row: Any) -> str:
        return "" if self.choices_for(row).exists() else NONE_YET

    def form_options(self, rows: Sequence[Any]) -> dict[str, Any]:
        (row,) = rows
        attached = [str(pk) for pk in self.attached_to(row).values_list("pk", flat=True)]
        offered = self.choices_for(row).order_by("name", "pk")[:MAX_CHOICES]
        choices = {str(each.pk): f"{each.name} ({each.code})" for each in offered}
        shown = [pk for pk in attached if pk in choices]
        return {"choices": [*choices.items()], "initial": {"entitlements": shown, "before": " ".join(shown)}}

    def title(self, rows: Sequence[Any]) -> str:
        return f"Entitlements of {rows[0]}"

    def button(self, rows: Sequence[Any]) -> str:
        return "Save"

    def apply(self, row: Any, audit: AuditContext, values: dict[str, Any]) -> None:
        before, after = set(values["before"].split()), set(values["entitlements"])
        added, removed = (sorted(filter(None, map(parse_uuid, ids))) for ids in (after - before, before - after))
        try:
            if added:
                self.attach(row, added)
            if removed:
                self.detach(row, removed)
        except (ValidationError, EntitlementInherited, EntitlementNotAttached):
            raise DomainError("was changed by someone else meanwhile. Open its page again.") from None
        for ids, event in (
            (added, Activity.Event.ENTITLEMENTS_ATTACHED),
            (removed, Activity.Event.ENTITLEMENTS_DETACHED),
        ):
            if ids:
                Activity.objects.record(event, row, audit, details={"count": len(ids)})

    def result_of_one(self, row: Any) -> str:
        return f"Entitlements of {row} saved"


class ChangePolicyEntitlements(ChangeEntitlements):
    permission = "licensing.change_policy"

    def attached_to(self, row: Policy) -> "QuerySet[Entitlement]":
        return Entitlement.objects.of_policy(row.pk)

    def consequences(self, rows: Sequence[Policy]) -> list[str]:
        return ["All licenses of the policy have these entitlements, also those that were issued before."]

    def attach(self, row: Policy, ids: Sequence[UUID]) -> None:
        attach_to_policy(row, ids)

    def detach(self, row: Policy, ids: Sequence[UUID]) -> None:
        detach_from_policy(row, ids)

    def next_page(self, admin: Any, rows: Sequence[Policy]) -> str:
        return admin.terms_url(rows[0])


class ChangeLicenseEntitlements(ChangeEntitlements):
    permission = "licensing.change_entitlement"

    def attached_to(self, row: License) -> "QuerySet[Entitlement]":
        return Entitlement.objects.filter(license_entitlements__license=row)

    def choices_for(self, row: License) -> "QuerySet[Entitlement]":
        inherited = Entitlement.objects.of_policy(row.policy_id).values("pk")
        own = Entitlement.objects.filter(license_entitlements__license=row).values("pk")
        return super().choices_for(row).exclude(pk__in=inherited) | super().choices_for(row).filter(pk__in=own)

    def consequences(self, rows: Sequence[License]) -> list[str]:
        return ["The license has these entitlements in addition to those of its policy."]

    def attach(self, row: License, ids: Sequence[UUID]) -> None:
        attach_to_license(row, ids)

    def detach(self, row: License, ids: Sequence[UUID]) -> None:
        detach_from_license(row, ids)


class RemoveEntitlement(RowAction):
    """Deletes entitlements, and detaches them everywhere."""

    name, label, past_tense, permission = "remove", "Delete", "Deleted", "licensing.delete_entitlement"
    danger = True

    def title(self, rows: Sequence[Entitlement]) -> str:
        return f"Delete the entitlement {rows[0]}?" if len(rows) == 1 else super().title(rows)

    def consequences(self, rows: Sequence[Entitlement]) -> list[str]:
        what = "it" if len(rows) == 1 else "them"
        return [
            f"Policies and licenses do not have {what} any more. A validation that asks for {what} fails.",
            "This cannot be undone.",
        ]

    def apply(self, row: Entitlement, audit: AuditContext, values: dict[str, Any]) -> None:
        row.delete()

    def next_page(self, admin: Any, rows: Sequence[Entitlement]) -> str:
        return admin.changelist_url()


def entitlements_context(
    request: HttpRequest, action: ChangeEntitlements, row: Any, page: str, *, inherited_from: Policy | None = None
) -> dict[str, Any]:
    """The entitlements of a row for its page. Empty without the permission.

    Args:
        page: the name of the pages of the row's model.
        inherited_from: the policy of a license.
    """
    may = operator_of(request).has_perm
    if not may("licensing.view_entitlement"):
        return {}
    return {
        "entitlements": list(action.attached_to(row).order_by("name", "pk")),
        "inherited": list(Entitlement.objects.of_policy(inherited_from.pk).order_by("name", "pk"))
        if inherited_from
        else [],
        "entitlements_url": f"{reverse(f'admin:{page}_entitlements')}?id={row.pk}" if may(action.permission) else "",
    }
