from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Field
from django.http import HttpRequest

from accounts.admin.base import AccountScopedFilter, ConsoleAdmin, ConsoleForm, format_time
from accounts.models import Account
from licensing.models import Policy


@admin.register(Policy)
class PolicyAdmin(ConsoleAdmin):
    """The policies of an account. `pools.admin.policies` replaces it with one that shows the pool too."""

    class Form(ConsoleForm):
        def account_of(self, values: dict[str, Any]) -> Account | None:
            return values["product"].account if values.get("product") else None

    form = Form
    hint = "There is no policy yet. It belongs to a product: add that first, then a policy with a pool."
    list_display = ["name", "product", "has_pool", "duration", "since"]
    list_select_related = ["product"]
    list_filter = ["use_pool", ("product", AccountScopedFilter)]
    search_fields = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "product"]}),
        ("Pool", {"fields": ["use_pool", "low_stock_threshold"]}),
        (
            "Time",
            {
                "fields": [
                    "duration",
                    "expiration_strategy",
                    "expiration_basis",
                    "renewal_basis",
                    "transfer_strategy",
                ]
            },
        ),
        ("Use", {"fields": ["max_uses", "max_users", "protected", "authentication_strategy"]}),
        ("Check-in", {"fields": ["require_check_in", "check_in_interval", "check_in_interval_count"]}),
        (
            "Validation asks for",
            {"fields": ["require_product_scope", "require_policy_scope", "require_user_scope"]},
        ),
        ("Keys of its own making", {"fields": ["scheme", "encrypted"], "classes": ["collapse"]}),
        (
            "Machines, processes, components: kept, without effect here",
            {
                "classes": ["collapse"],
                "fields": [
                    "strict",
                    "floating",
                    "max_machines",
                    "max_processes",
                    "max_cores",
                    "max_memory",
                    "max_disk",
                    "machine_uniqueness_strategy",
                    "machine_matching_strategy",
                    "component_uniqueness_strategy",
                    "component_matching_strategy",
                    "machine_leasing_strategy",
                    "process_leasing_strategy",
                    "overage_strategy",
                    "require_machine_scope",
                    "require_fingerprint_scope",
                    "require_components_scope",
                    "require_checksum_scope",
                    "require_version_scope",
                    "require_heartbeat",
                    "heartbeat_duration",
                    "heartbeat_cull_strategy",
                    "heartbeat_resurrection_strategy",
                    "heartbeat_basis",
                ],
            },
        ),
        ("Metadata", {"fields": ["metadata"], "classes": ["collapse"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, policy: Policy | None = None) -> list[str]:
        return ["product", "use_pool", "scheme", "encrypted"] if policy else []

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"use_pool": True, "protected": True, **super().get_changeform_initial_data(request)}

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **options: Any) -> forms.Field | None:
        formfield = super().formfield_for_dbfield(db_field, request, **options)
        if formfield and db_field.name in self.HELP_TEXTS:
            formfield.help_text = self.HELP_TEXTS[db_field.name]
        return formfield

    HELP_TEXTS: ClassVar = {
        "use_pool": "Licenses get their keys from a pool of ready-made ones. This cannot be changed later.",
        "low_stock_threshold": "At so few keys left, the admins of the account are told, once until it is refilled.",
        "duration": "Seconds; 31556952 is a year, 2629746 a month. Empty: for ever.",
    }

    @admin.display(description="pool", boolean=True, ordering="use_pool")
    def has_pool(self, policy: Policy) -> bool:
        return policy.use_pool

    @admin.display(description="since", ordering="id")
    def since(self, policy: Policy) -> str:
        return format_time(policy.created)
