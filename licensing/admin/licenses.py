from datetime import UTC
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import audit_context_of, operator_of
from accounts.admin.add_pages import AddPage
from accounts.admin.base import AccountScopedFilter, ReadOnlyAdmin, format_time
from accounts.admin.customers import name_user, user_link, user_url
from accounts.admin.form_once import SecretResponse, run_form_once
from accounts.admin.group_action import ChangeGroup, group_link
from accounts.admin.linked_filters import GroupFilter, LinkedRowFilter
from accounts.admin.searched_lists import SearchedListMixin
from accounts.models import Customer, User
from accounts.search import MAX_FOUND_ROWS, SearchScope
from accounts.services import get_or_create_customer
from keygen_site.db.uuids import parse_uuid
from licensing.admin.entitlement_actions import ChangeLicenseEntitlements, entitlements_context
from licensing.admin.entitlements import EntitlementFilter
from licensing.admin.issue_form import IssueForm
from licensing.admin.license_actions import Reinstate, Renew, Revoke, Suspend
from licensing.admin.license_machines import machines_context
from licensing.license_search import search_licenses
from licensing.models import License, Policy
from licensing.models.license_queries import LicenseQuerySet
from licensing.services import issue_license

CHANGE_ENTITLEMENTS = ChangeLicenseEntitlements()
STATUS_LABELS = {
    "ACTIVE": "Active",
    "INACTIVE": "Not used lately",
    "EXPIRING": "Expires soon",
    "EXPIRED": "Expired",
    "SUSPENDED": "Suspended",
    "BANNED": "Customer blocked",
}


def status_badge(license: License) -> str:
    status = license.status
    return format_html('<span class="state state-{}">{}</span>', status.lower(), STATUS_LABELS[status])


class StatusFilter(admin.SimpleListFilter):
    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return list(STATUS_LABELS.items())

    def queryset(self, request: HttpRequest, licenses: Any) -> LicenseQuerySet:
        status = self.value()
        return licenses.with_status(status) if status else licenses


class CustomerFilter(LinkedRowFilter):
    title, parameter_name, path = "customer", "customer", "owner"
    model = User


@admin.register(License)
class LicenseAdmin(AddPage, SearchedListMixin, ReadOnlyAdmin):
    """The licenses of an account. They are changed by actions only, and their keys stay masked.

    `pools.admin.licenses` replaces it with one that knows the pools.
    """

    menu_name = "Licenses"
    hint = "No licenses yet. Issue the first one: its customer can be new."
    confirmed_actions = [Suspend(), Reinstate(), Renew(), Revoke(), ChangeGroup(), CHANGE_ENTITLEMENTS]
    list_display = ["label", "customer", "of_policy", "reference", "state", "expires", "since"]
    list_select_related = ["policy", "product", "owner"]
    list_filter = [
        CustomerFilter,
        GroupFilter,
        EntitlementFilter,
        StatusFilter,
        ("policy", AccountScopedFilter),
        ("product", AccountScopedFilter),
    ]
    sortable_by = ["since"]
    search_fields = ["name"]
    search_help_text = "Part of a customer's email or name, a reference, a whole key or the name of a license"
    fields = ["label"]
    readonly_fields = ["label"]
    change_form_template = "admin/licensing/license/change_form.html"
    change_list_template = "admin/licensing/license/change_list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("licensing.add_license")

    def get_ordering(self, request: HttpRequest) -> list[Any] | tuple[Any, ...]:
        # No index orders the licenses of all accounts by creation. Ids do, except those that clients chose.
        is_narrow = {"group", "entitlement", "account__id__exact"} & set(request.GET)
        return ["-id"] if request.user.is_superuser and not is_narrow else super().get_ordering(request)

    def get_search_results(self, request: HttpRequest, licenses: Any, text: str) -> tuple[LicenseQuerySet, bool]:
        if not text.strip():
            return licenses, False
        scope = SearchScope.of(operator_of(request))
        found = search_licenses(scope, text, may_reveal=self.may_reveal_keys(request))
        if len(found) >= MAX_FOUND_ROWS and request.method == "GET":
            messages.info(request, f"Only the first {len(found)} results are shown. Type more to narrow them down.")
        return licenses.filter(pk__in=found), False

    def may_reveal_keys(self, request: HttpRequest) -> bool:
        """Whether the operator may see whole keys, and so search for any part of one."""
        return False

    # Pages -----------------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        licenses = self.get_queryset(request).select_related("policy", "product", "owner", "account", "group")
        license = uuid and licenses.filter(pk=uuid).first()
        context = self.context_of(request, license) if license else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def context_of(self, request: HttpRequest, license: License) -> dict[str, Any]:
        """The context of the page of a license."""
        return {
            "license": license,
            "masked": self.masked(license),
            "badge": status_badge(license),
            "customer": user_link(license.owner) if license.owner else "",
            "group": group_link(request, license.group),
            "group_url": self._group_url(request, license),
            **machines_context(request, license),
            **entitlements_context(request, CHANGE_ENTITLEMENTS, license, self._name, inherited_from=license.policy),
        }

    def _group_url(self, request: HttpRequest, license: License) -> str:
        action = next(each for each in self.confirmed_actions if isinstance(each, ChangeGroup))
        return self.action_url(action, license) if action.is_allowed(request) else ""

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Issue a license, by the service instead of a model form."""
        policies = self.restrict_to_account(Policy.objects.all(), request, "account")
        form = IssueForm(
            request.POST if request.method == "POST" else None,
            policies=policies,
            may_add_customer=request.user.has_perm("accounts.add_user"),
            initial=self._initial_values(request, policies),
        )
        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, lambda: self._issue(request, form.cleaned_data))
            except ValidationError as error:
                form.add_refusal(error, self.refill_url(request, form.cleaned_data["policy"]))
        return self.render_add_page(request, form, title="Issue license", button="Issue license")

    def _initial_values(self, request: HttpRequest, policies: QuerySet[Policy]) -> dict[str, Any]:
        """The only policy, if there is just one, and the policy and customer whose ids are in the link."""
        some = list(policies.order_by().values_list("pk", flat=True)[:2])
        only = some[0] if len(some) == 1 else None
        values: dict[str, Any] = {"policy": parse_uuid(request.GET.get("policy", "")) or only}
        if uuid := parse_uuid(request.GET.get("customer", "")):
            customer = self.restrict_to_account(Customer.objects.filter(pk=uuid), request, "account").first()
            values["owner"] = customer and customer.email
        return values

    def refill_url(self, request: HttpRequest, policy: Policy) -> str:
        """The URL of the page that adds keys to the pool of a policy; empty if the operator may not do that."""
        return ""

    def _issue(self, request: HttpRequest, values: dict[str, Any]) -> SecretResponse:
        policy, email, owner = values["policy"], values["owner"], None
        if email:
            owner, is_new = get_or_create_customer(policy.account, email, values["customer_name"])
            if is_new:
                self.log_addition(request, owner, "Added with a license")
        audit = audit_context_of(request, values["reference"])
        license = issue_license(policy=policy, audit=audit, name=values["name"] or None, owner=owner)
        self.log_addition(request, license, "Issued")
        return SecretResponse(
            title=f"License for {name_user(owner)}" if owner else "License issued",
            text=license.revealed or license.key,
            section=self.section,
            back=self.change_url(license),
            again=not license.revealed,
            template="admin/licensing/license/issued.html",
            details=self.describe_issued(request, license),
        )

    def describe_issued(self, request: HttpRequest, license: License) -> dict[str, str]:
        """The details on the page after an issue, next to the key."""
        return {
            "license": str(license),
            "customer": license.owner.email if license.owner else "",
            "customer_url": user_url(license.owner) if license.owner else "",
            "policy": f"{license.product} · {license.policy}",
            "reference": license.reference or "",
            "expiry": f"{license.expiry.astimezone(UTC):%-d %b %Y, %H:%M} UTC" if license.expiry else "",
            "another_url": f"{reverse('admin:licensing_license_add')}?policy={license.policy_id}",
        }

    # Columns ---------------------------------------------------------------------------------------------------------

    @admin.display(description="key")
    def label(self, license: License) -> str:
        name = format_html(" <bdi>{}</bdi>", license.name) if license.name else ""
        return format_html("<code>{}</code>{}", self.masked(license), name)

    @admin.display(description="customer")
    def customer(self, license: License) -> str:
        return user_link(license.owner) if license.owner else ""

    @admin.display(description="product and terms")
    def of_policy(self, license: License) -> str:
        return format_html("<span><bdi>{}</bdi> · <bdi>{}</bdi></span>", license.product, license.policy)

    @admin.display(description="reference")
    def reference(self, license: License) -> str:
        return format_html("<bdi>{}</bdi>", license.reference) if license.reference else ""

    @admin.display(description="status")
    def state(self, license: License) -> str:
        return status_badge(license)

    @admin.display(description="expires")
    def expires(self, license: License) -> str:
        return format_time(license.expiry) if license.expiry else "never"

    @admin.display(description="issued", ordering="created")
    def since(self, license: License) -> str:
        return format_time(license.created)

    @admin.display(description="key")
    def masked(self, license: License) -> str:
        return "shown once" if license.policy.encrypted else license.masked
