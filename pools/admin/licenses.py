"""Licenses with the features of pools: the history of a key, and sending it to the customer."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.admin.actions import ConfirmedAction, audit_context_of
from accounts.audit import AuditContext
from accounts.mail import can_send_mail
from accounts.models import Activity
from keygen_site.jsonapi.errors import DomainError
from licensing.admin.licenses import LicenseAdmin
from licensing.models import License, Policy
from pools.admin.activity_lines import Line, LineMaker
from pools.models import Key, KeyEvent
from pools.services.licenses import email_license_key

MAX_HISTORY = 100  # entries of each kind


class EmailForm(forms.Form):
    to = forms.CharField(widget=forms.HiddenInput)


class EmailKey(ConfirmedAction):
    """Emails the key of a license to its customer, once for each form that is sent."""

    name, label, past_tense, permission = "email", "Email key", "Emailed the key", "licensing.add_license"
    for_many = False
    form_class = EmailForm

    def is_allowed(self, request: HttpRequest) -> bool:
        return can_send_mail() and super().is_allowed(request)

    def applies_to(self, license: License) -> bool:
        return bool(license.owner) and not license.policy.encrypted

    def form_options(self, licenses: Sequence[License]) -> dict[str, Any]:
        owner = licenses[0].owner
        return {"initial": {"to": owner.email if owner else ""}}

    def title(self, licenses: Sequence[License]) -> str:
        owner = licenses[0].owner
        return f"Email the key to {owner}?" if owner else "Email the key?"

    def button(self, licenses: Sequence[License]) -> str:
        return "Send email"

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return [
            f"One email with the key of {licenses[0].product} is sent to {licenses[0].owner}, "
            "the address of the license's customer, and to no one else.",
            "You don't see the key. The email is recorded in the history of the license.",
        ]

    def run(self, admin: Any, request: HttpRequest, rows: Sequence[License], values: Mapping[str, Any]) -> HttpResponse:
        try:
            email_license_key(rows[0], to=values["to"], audit=audit_context_of(request))
        except DomainError as error:
            raise DomainError(f"The key {error.detail}.") from None
        admin.message_user(request, f"The key is on its way to {values['to']}.")
        return HttpResponseRedirect(admin.change_url(rows[0]))

    def record(self, row: License, audit: AuditContext) -> None:
        """Record the email of a key that is from no pool: the ledger has the others."""
        if not row.policy.use_pool and row.owner:
            details: Activity.Details = {"what": "emailed the key", "to": row.owner.email}
            Activity.objects.record(Activity.Event.CHANGED, row, audit, details=details)


admin.site.unregister(License)


@admin.register(License)
class PooledLicenseAdmin(LicenseAdmin):
    """Licenses with the history of their keys, which can be emailed."""

    confirmed_actions = [EmailKey(), *LicenseAdmin.confirmed_actions]
    change_form_template = "admin/pools/license/change_form.html"

    def context_of(self, request: HttpRequest, license: License) -> dict[str, Any]:
        keys = Key.objects.filter(account=license.account_id).with_key(license.key)
        may_see_key = license.policy.use_pool and request.user.has_perm("pools.view_key")
        return {
            **super().context_of(request, license),
            "pool_key": keys.only("pk").first() if may_see_key else None,
            "history": list_history(request, license) if request.user.has_perm("pools.view_keyevent") else [],
            "no_email": self._why_no_email(request, license),
        }

    def may_reveal_keys(self, request: HttpRequest) -> bool:
        return request.user.has_perm("pools.reveal_key")

    def refill_url(self, request: HttpRequest, policy: Policy) -> str:
        if not request.user.has_perm("pools.add_keyimport"):
            return ""
        return reverse("admin:pools_pendingimport_import", args=[policy.pk])

    def describe_issued(self, request: HttpRequest, license: License) -> dict[str, str]:
        details = super().describe_issued(request, license)
        email = next(each for each in self.confirmed_actions if isinstance(each, EmailKey))
        if email.is_allowed(request) and email.applies_to(license):
            details["email_url"] = self.action_url(email, license)
        return {**details, "no_email": self._why_no_email(request, license)}

    def _why_no_email(self, request: HttpRequest, license: License) -> str:
        """Why the key cannot be emailed by an operator who otherwise may do that; empty if it can."""
        if not request.user.has_perm(EmailKey.permission):
            return ""
        if not license.owner:
            return "The license has no customer, so its key can't be emailed."
        if license.policy.encrypted:
            return "The key can't be emailed: only its digest is stored."
        return "" if can_send_mail() else "Keys can't be emailed: mail is not set up on this server (EMAIL_URL)."


def list_history(request: HttpRequest, license: License) -> list[Line]:
    """The events of a license and of its key, newest first, in the words of the activity."""
    events = KeyEvent.objects.filter(account=license.account_id)
    changes = Activity.objects.filter(object_id=license.pk, noun="license").order_by("-id")
    of_key = [events.filter(license=license.pk), events.filter(key_digest=license.digest)]
    entries: list[KeyEvent | Activity] = list(changes[:MAX_HISTORY])
    for some in of_key:
        entries += some.order_by("-created", "-id")[:MAX_HISTORY]
    by_id = {entry.pk: entry for entry in entries}
    newest_first = sorted(by_id.values(), key=lambda entry: (entry.created, entry.pk), reverse=True)
    lines = LineMaker(request, newest_first)
    return [lines.line([entry]) for entry in newest_first]
