"""The form that issues a license."""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.html import format_html

from accounts.admin.actions import ReferenceForm
from accounts.models import User
from accounts.models.users import validate_email
from licensing.models import Policy


class IssueForm(ReferenceForm):
    """The form that issues a license, also for a customer who is not known yet."""

    policy = forms.ModelChoiceField(
        Policy.objects.none(),
        label="Pool or terms",
        empty_label="Choose…",
        help_text="From a pool, the license gets its next key. Otherwise a key is generated.",
    )
    owner = forms.CharField(
        required=False,
        max_length=255,
        label="Customer email",
        validators=[validate_email],
        error_messages={"invalid": "Enter an email address, such as ann@example.com."},
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text="If it is new, the customer is created with the license.",
    )
    customer_name = forms.CharField(
        required=False,
        max_length=255,
        label="Name of a new customer",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(max_length=1024, required=False, label="Name of the license")

    field_order = ["policy", "owner", "customer_name", "reference", "name"]

    def __init__(
        self, data: Any, *, policies: QuerySet[Policy], may_add_customer: bool, initial: dict[str, Any]
    ) -> None:
        super().__init__(data, initial=initial)
        self.may_add_customer = may_add_customer
        policy = cast(forms.ModelChoiceField, self.fields["policy"])
        policy.queryset = policies.select_related("account", "product")
        policy.label_from_instance = lambda policy: f"{policy.product} · {policy}"  # type: ignore[method-assign,assignment]
        self.fields["reference"].help_text = "Order number, ticket or name. You can search for it later."
        if not may_add_customer:
            del self.fields["customer_name"]
            self.fields["owner"].help_text = "The email of a customer."
        self.fields["owner" if initial.get("policy") else "policy"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        values.setdefault("customer_name", "")
        if not values.get("policy") or not values.get("owner"):
            if values.get("customer_name") and "owner" not in self.errors:
                self.add_error("owner", "Enter the email of the customer, too.")
            return values
        values["owner"] = values["owner"].strip().lower()
        owner = User.objects.filter(account=values["policy"].account, email=values["owner"]).first()
        if owner is None and not self.may_add_customer:
            self.add_error("owner", "No customer has this email, and you may not add customers.")
        elif owner and owner.banned:
            self.add_error("owner", "This customer is blocked: a license would not work. Unblock the customer first.")
        return values

    def add_refusal(self, error: ValidationError, refill_url: str) -> None:
        """Show why the license could not be issued, and for an empty pool the way on."""
        by_field: dict[str, list[ValidationError]] = getattr(error, "error_dict", {})
        if "pool_empty" not in [each.code for found in by_field.values() for each in found]:
            self.add_error(None, error.messages)
            return
        policy = self.cleaned_data["policy"]
        if refill_url:
            text = '<bdi>{}</bdi> is empty. <a href="{}">Import keys</a> or choose another pool.'
            self.add_error("policy", format_html(text, policy, refill_url))
        else:
            self.add_error("policy", f"{policy} is empty. Choose another pool.")
