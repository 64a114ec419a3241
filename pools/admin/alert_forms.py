"""The form of a pool's low-stock alert, and the alert in words."""

from typing import Any

from django import forms

from licensing.models import Policy
from pools.models import Pool

MAX_KEYS, MAX_DAYS = 1_000_000, 365


class AlertForm(forms.Form):
    """At how many keys or days left the admins are told. Empty: never."""

    alert_at = forms.IntegerField(
        label="Alert at",
        min_value=0,
        required=False,
        error_messages={"invalid": "Enter a whole number.", "min_value": "Enter 0 or more."},
    )
    alert_unit = forms.ChoiceField(label="Unit", choices=[("keys", "keys left"), ("days", "days left")])

    @classmethod
    def initial_of(cls, policy: Policy) -> dict[str, Any]:
        """The present alert of a pool, as initial data."""
        if policy.low_stock_days is not None:
            return {"alert_at": policy.low_stock_days, "alert_unit": "days"}
        return {"alert_at": policy.low_stock_threshold, "alert_unit": "keys"}

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        number, unit = values.get("alert_at"), values.get("alert_unit")
        if number is not None and unit == "days" and not 1 <= number <= MAX_DAYS:
            self.add_error("alert_at", f"Enter 1 to {MAX_DAYS} days.")
        elif number is not None and number > MAX_KEYS:
            self.add_error("alert_at", f"At most {MAX_KEYS:,} keys.")
        return values

    def arguments(self) -> dict[str, int | None]:
        """The arguments of `set_low_stock_alert()`."""
        unit = self.cleaned_data["alert_unit"]
        return {unit: self.cleaned_data["alert_at"]}


def describe_alert(pool: Pool | Policy) -> str:
    """The alert of a pool in words, e.g. "at 250 keys left"."""
    if pool.low_stock_threshold is None:
        return "off"
    keys = f"{pool.low_stock_threshold:,} {'key' if pool.low_stock_threshold == 1 else 'keys'}"
    if pool.low_stock_days is None:
        return f"at {keys} left"
    return f"at {pool.low_stock_days} {'day' if pool.low_stock_days == 1 else 'days'} left (now {keys})"
