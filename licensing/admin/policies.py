from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts.admin.base import AccountScopedFilter, ConsoleAdmin, format_time
from accounts.models import Account
from licensing.admin.entitlement_actions import ChangePolicyEntitlements, entitlements_context
from licensing.admin.quantities import describe_duration
from licensing.admin.term_words import TERMS_FIELDSETS
from licensing.admin.terms import TermsForm, describe_terms
from licensing.models import Policy

CHANGE_ENTITLEMENTS = ChangePolicyEntitlements()


class PolicyForm(TermsForm):
    """The terms of a policy without a pool, whose license keys the server generates."""

    def account_of(self, values: dict[str, Any]) -> Account | None:
        return values["product"].account if values.get("product") else None


class TermsPages(ConsoleAdmin):
    """Pages that show the terms of a policy: a form, or for operators who may not change them, sentences."""

    form = TermsForm
    change_form_template = "admin/licensing/policy/change_form.html"
    fieldsets: ClassVar[Any] = TERMS_FIELDSETS
    confirmed_actions = [CHANGE_ENTITLEMENTS]

    def terms_url(self, policy: Policy) -> str:
        """The URL of the page with the terms of a policy."""
        return self.change_url(policy)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return [(None, {"fields": ["name"]})]

    def render_change_form(
        self,
        request: Any,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= entitlements_context(request, CHANGE_ENTITLEMENTS, obj, self._name)
            if not self.has_change_permission(request, obj):
                context["terms"] = list(describe_terms(obj))
        return super().render_change_form(request, context, add, change, form_url, obj)


@admin.register(Policy)
class PolicyAdmin(TermsPages):
    """The policies without a pool. `pools.admin.policies` leads from the others to the pages of their pools."""

    form = PolicyForm
    menu_name = "Policies without a pool"
    change_list_template = "admin/licensing/policy/change_list.html"
    hint = "No policies without a pool. They are for licenses whose keys are generated here."
    list_display = ["name", "product", "valid_for", "since"]
    list_select_related = ["product"]
    list_filter = [("product", AccountScopedFilter)]
    search_fields = ["name"]
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["product", "name", "duration"]}),
        *TERMS_FIELDSETS[1:-1],
        ("Generated keys", {"fields": ["scheme", "encrypted"], "classes": ["collapse"]}),
        TERMS_FIELDSETS[-1],
    ]

    def get_readonly_fields(self, request: HttpRequest, policy: Policy | None = None) -> list[str]:
        return ["product", "scheme", "encrypted"] if policy else []

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"protected": True, **super().get_changeform_initial_data(request)}

    @admin.display(description="valid for", ordering="duration")
    def valid_for(self, policy: Policy) -> str:
        return describe_duration(policy.duration)

    @admin.display(description="created", ordering="id")
    def since(self, policy: Policy) -> str:
        return format_time(policy.created)
