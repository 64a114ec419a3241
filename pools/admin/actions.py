"""Forms of actions on keys and imports."""

from django import forms

from accounts.admin.actions import ReferenceForm
from pools.services.keys import MAX_REASON_CHARACTERS


class WithdrawForm(ReferenceForm):
    """Asks for the reason of a withdrawal."""

    reason = forms.CharField(
        required=False, max_length=MAX_REASON_CHARACTERS, help_text="For the ledger: refunded, defective, leaked."
    )

    field_order = ["reason", "reference"]
