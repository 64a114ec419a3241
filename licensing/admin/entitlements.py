"""Entitlements: the features that policies and licenses have."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field, OuterRef
from django.http import HttpRequest, HttpResponse

from accounts.admin.account_choice import AccountChoice
from accounts.admin.base import format_time
from accounts.admin.linked_filters import LinkedRowFilter
from keygen_site.db.bounded_counts import BoundedCount
from keygen_site.db.uuids import parse_uuid
from licensing.admin.entitlement_actions import RemoveEntitlement
from licensing.models import Entitlement, License, LicenseEntitlement, Policy, PolicyEntitlement

MAX_COUNTED = 100  # policies, and licenses, of each entitlement
MAX_SHOWN = 20


class EntitlementFilter(LinkedRowFilter):
    """The licenses to which an entitlement is attached, without those that inherit it."""

    title, parameter_name, path = "entitlement", "entitlement", "license_entitlements__entitlement"
    model = Entitlement

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        # By the account, so that an index has the licenses in the order of the list.
        account = Entitlement.objects.values_list("account", flat=True).get(pk=self.lookup_choices[0][0])
        return super().queryset(request, rows).filter(account=account)


@admin.register(Entitlement)
class EntitlementAdmin(AccountChoice):
    """The entitlements of an account."""

    menu_name = "Entitlements"
    hint = "No entitlements yet. An entitlement is a feature that a program asks for when it validates a license."
    confirmed_actions = [RemoveEntitlement()]
    list_display = ["name", "code", "policies", "licenses", "since"]
    list_select_related = ["account"]
    search_fields = ["name", "code"]
    search_help_text = "Part of the name or code"
    fieldsets = [
        (None, {"fields": ["account", "name", "code"]}),
        ("More", {"fields": ["metadata"], "classes": ["collapse"]}),
    ]
    change_form_template = "admin/licensing/entitlement/change_form.html"
    change_list_template = "admin/licensing/entitlement/change_list.html"

    HELP_TEXTS = {
        "name": "For people, for example “Offline mode”.",
        "code": "For programs, for example OFFLINE. A validation of a license asks for codes.",
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        counts = {
            "policy_count": PolicyEntitlement.objects.filter(entitlement=OuterRef("pk")),
            "license_count": LicenseEntitlement.objects.filter(entitlement=OuterRef("pk")),
        }
        bounded = {name: BoundedCount(rows.order_by().values("pk")[: MAX_COUNTED + 1]) for name, rows in counts.items()}
        return super().get_queryset(request).annotate(**bounded)

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **options: Any) -> forms.Field | None:
        formfield = super().formfield_for_dbfield(db_field, request, **options)
        if formfield:
            formfield.help_text = self.HELP_TEXTS.get(db_field.name, formfield.help_text)
        return formfield

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context: dict[str, Any] = {}
        uuid = parse_uuid(object_id)
        # By the account, so that an index has the licenses in their order.
        account = uuid and Entitlement.objects.filter(pk=uuid).values_list("account", flat=True).first()
        if account:
            for name, permission, rows in (
                ("policies", "view_policy", Policy.objects.filter(policy_entitlements__entitlement=uuid)),
                ("licenses", "view_license", License.objects.filter(license_entitlements__entitlement=uuid)),
            ):
                if request.user.has_perm(f"licensing.{permission}"):
                    own = self.restrict_to_account(rows.filter(account=account), request, "account")
                    found = list(own.select_related("product")[: MAX_SHOWN + 1])
                    context |= {name: found[:MAX_SHOWN], f"more_{name}": len(found) > MAX_SHOWN}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.display(description="policies")
    def policies(self, entitlement: Any) -> str:
        return _bounded(entitlement.policy_count)

    @admin.display(description="licenses of their own")
    def licenses(self, entitlement: Any) -> str:
        return _bounded(entitlement.license_count)

    @admin.display(description="created", ordering="id")
    def since(self, entitlement: Entitlement) -> str:
        return format_time(entitlement.created)


def _bounded(count: int) -> str:
    return f"{MAX_COUNTED}+" if count > MAX_COUNTED else str(count)
