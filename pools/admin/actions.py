"""Actions of operators on keys and imports. Each is recorded in the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.admin.actions import ConfirmedAction, ReferenceForm, RowAction, audit_context_of
from accounts.admin.form_once import SecretResponse
from accounts.audit import AuditContext
from pools.models import Key, KeyImport
from pools.services.import_changes import withdraw_import
from pools.services.keys import MAX_REASON_CHARACTERS, return_key, reveal_key, withdraw_key
from pools.services.statistics import MAX_COUNTED_KEYS, count_left


class Reveal(ConfirmedAction):
    """Show a key unmasked, for some minutes and to this operator only."""

    name, label, past_tense, permission = "reveal", "Reveal", "Revealed", "pools.reveal_key"
    for_many = False
    form_class = ReferenceForm

    def consequences(self, keys: Sequence[Key]) -> list[str]:
        if keys[0].popped:
            return [
                "The key is shown on the next page.",
                "You will have seen it, so it cannot be returned to its pool.",
            ]
        return [
            "The key is shown on the next page.",
            "It stays in its pool and will be handed out to a customer: withdraw it if it shall not.",
        ]

    def run(self, admin: Any, request: HttpRequest, keys: Sequence[Key], values: Mapping[str, Any]) -> HttpResponse:
        return SecretResponse(
            title="A key, in clear",
            text=reveal_key(keys[0], audit_context_of(request, values["reference"])),
            section=str(admin.opts.verbose_name_plural),
            back=admin.change_url(keys[0]),
            again=True,
        )


class ReturnForm(ReferenceForm):
    """Asks the operator to confirm that the keys were not delivered."""

    undelivered = forms.BooleanField(
        label="The key was not delivered", help_text="This must be true of each key listed above."
    )

    field_order = ["undelivered", "reference"]


class Return(RowAction):
    name, label, past_tense, permission = "return", "Return to pool", "Returned", "pools.return_key"
    form_class = ReturnForm

    def applies_to(self, key: Key) -> bool:
        return key.state == Key.State.POPPED and key.disclosure == Key.Disclosure.POPPED

    def consequences(self, keys: Sequence[Key]) -> list[str]:
        return [
            "It is available again, in its old place: it is the next to be handed out.",
            "Only a key that the API or a command popped, and that was not delivered, can be returned. "
            "A key that was issued, shown in the console or exported stays popped: pop another one instead.",
        ]

    def apply(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        return_key(policy=key.policy, text=key.key, undelivered=values["undelivered"], audit=audit)


class WithdrawForm(ReferenceForm):
    """Asks for the reason of a withdrawal."""

    reason = forms.CharField(
        required=False, max_length=MAX_REASON_CHARACTERS, help_text="For the ledger: refunded, defective, leaked."
    )

    field_order = ["reason", "reference"]


class Withdraw(RowAction):
    name, label, past_tense, permission, danger = "withdraw", "Withdraw", "Withdrawn", "pools.withdraw_key", True
    form_class = WithdrawForm

    def applies_to(self, key: Key) -> bool:
        return key.withdrawn is None

    def consequences(self, keys: Sequence[Key]) -> list[str]:
        return [
            "It is never handed out, and its text never enters a pool of the account again, "
            "not even after the policy is deleted. This cannot be undone."
        ]

    def apply(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        withdraw_key(policy=key.policy, text=key.key, audit=audit, reason=values["reason"])


class WithdrawRest(ConfirmedAction):
    """Withdraw the available keys of an import, in several transactions. A repetition withdraws the rest."""

    name, label, past_tense, permission, danger = (
        "withdraw",
        "Withdraw the rest",
        "Withdrawn",
        "pools.withdraw_key",
        True,
    )
    for_many = False
    runs_once = False
    form_class = WithdrawForm

    def consequences(self, imports: Sequence[KeyImport]) -> list[str]:
        return [
            f"{describe_left(imports[0])} keys of this import still wait. None of them is handed out any more. "
            "This cannot be undone.",
            "Keys that were popped before are not touched.",
        ]

    def run(
        self, admin: Any, request: HttpRequest, imports: Sequence[KeyImport], values: Mapping[str, Any]
    ) -> HttpResponse:
        audit = audit_context_of(request, values["reference"])
        result = withdraw_import(key_import=imports[0], audit=audit, reason=values["reason"])
        admin.message_user(request, f"{result.changed:,} keys were withdrawn.")
        return HttpResponseRedirect(reverse("admin:pools_keyimport_change", args=[imports[0].pk]))


def describe_left(key_import: KeyImport) -> str:
    """The number of available keys of an import, for people."""
    left = count_left(key_import)
    return f"{left:,} or more" if left >= MAX_COUNTED_KEYS else f"{left:,}"
