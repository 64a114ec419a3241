"""Customers with their licenses."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import operator_of
from accounts.admin.customers import CustomerAdmin
from accounts.admin.group_action import ChangeGroup, group_link
from accounts.models import Customer
from keygen_site.db.bounded_counts import BoundedCount
from keygen_site.db.uuids import parse_uuid
from licensing.admin.licenses import status_badge
from licensing.models import License

MAX_SHOWN_LICENSES = 20
MAX_COUNTED_LICENSES = 100

admin.site.unregister(Customer)


@admin.register(Customer)
class LicensedCustomerAdmin(CustomerAdmin):
    """Customers with their licenses."""

    list_display = ["email", "name", "license_link", "status", "since"]
    change_list_template = "admin/accounts/customer/change_list.html"
    change_form_template = "admin/accounts/customer/change_form.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        owned = License.objects.filter(owner=OuterRef("pk")).order_by().values("pk")
        return super().get_queryset(request).annotate(license_count=BoundedCount(owned[:MAX_COUNTED_LICENSES]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context: dict[str, Any] = {}
        uuid = parse_uuid(object_id)
        if uuid and operator_of(request).has_perm("licensing.view_license"):
            owned = self.restrict_to_account(License.objects.filter(owner=uuid), request, "account")
            rows = owned.select_related("product", "policy", "owner")[: MAX_SHOWN_LICENSES + 1]
            context = {
                "licenses": [(each, status_badge(each)) for each in rows[:MAX_SHOWN_LICENSES]],
                "has_more": len(rows) > MAX_SHOWN_LICENSES,
                "list_url": f"{reverse('admin:licensing_license_changelist')}?customer={uuid}",
            }
        if uuid:
            customer = self.get_queryset(request).select_related("group").filter(pk=uuid).first()
            context["group"] = group_link(request, customer and customer.group)
            if operator_of(request).has_perm(ChangeGroup.permission):
                context["group_url"] = f"{reverse('admin:accounts_customer_group')}?id={uuid}"
        if uuid and operator_of(request).has_perm("licensing.add_license"):
            context["issue_url"] = f"{reverse('admin:licensing_license_add')}?customer={uuid}"
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.display(description="licenses")
    def license_link(self, customer: Any) -> str:
        if not customer.license_count:
            return "–"
        url = f"{reverse('admin:licensing_license_changelist')}?customer={customer.pk}"
        more = "+" if customer.license_count == MAX_COUNTED_LICENSES else ""
        return format_html('<a href="{}">{}{}</a>', url, customer.license_count, more)
