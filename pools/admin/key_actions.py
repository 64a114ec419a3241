"""Actions of operators on keys. Each is recorded in the ledger.

The pages say why an action would be refused, by the rules of `pools.services.keys`, which refuse it.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, ReferenceForm, RowAction, audit_context_of, operator_of
from accounts.admin.base import format_time
from accounts.admin.bulk_actions import MAX_ROWS_AT_ONCE
from accounts.admin.form_once import SecretResponse
from accounts.audit import AuditContext
from keygen_site.db.fields import digest
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.text import is_one_line
from licensing.models import License, PoolEmpty
from pools.admin.key_story import customer_of, disclosed_to, sentence_about
from pools.models import Key
from pools.services.keys import (
    MAX_REASON_CHARACTERS,
    KeyDisclosed,
    KeyHeldByLicense,
    KeyIssued,
    KeyNotFound,
    KeyNotPopped,
    KeyWithdrawn,
    LicenseGone,
    check_replacement,
    check_return,
    find_pop,
    licenses_with,
    replace_key_for_operator,
    return_key,
    reveal_key,
    withdraw_key,
)

CHANGED = "changed since the page was opened, so nothing was done: look at its present state, and confirm again"
# In messages after an action, by the `detail` of the error.
LEFT_BECAUSE = {
    KeyNotPopped.detail: "still available",
    KeyWithdrawn.detail: "retired already",
    KeyHeldByLicense.detail: "held by a license",
    KeyIssued.detail: "issued with a license",
    KeyDisclosed.detail: "seen by a person",
}


def number_of_keys(keys: Sequence[Any]) -> str:
    """For example "this key" or "1,000 keys"."""
    return "this key" if len(keys) == 1 else f"{len(keys):,} keys"


def state_of(key: Key) -> str:
    """Everything about a key that a confirmation page relies on, in a few characters.

    A key that was put back and handed out again differs by the time of its pop.
    """
    parts = (key.pk, key.policy_id, key.popped, key.withdrawn, key.disclosed, key.disclosure)
    return digest("|".join(map(str, parts))).hex()[:16]


class KeyForm(ReferenceForm):
    """A form of an action on keys. It is refused if a key has changed since the page with the form was opened.

    Otherwise an operator could, for example, retire a key that looked available and is a customer's by now.
    """

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, keys: Sequence[Key], **options: Any) -> None:
        super().__init__(*args, **options)
        # Of more keys the page says nothing about each, and their rules are checked when each is changed.
        self.states = {str(key.pk): state_of(key) for key in keys} if len(keys) <= MAX_ROWS_AT_ONCE else {}
        self.count = len(keys)
        self.fields["seen"].initial = self.seen_now

    @property
    def seen_now(self) -> str:
        return digest("".join(self.states.values())).hex()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("seen") and values["seen"] != self.seen_now:
            # The page shows the present state, which can be confirmed.
            self.data = cast(Any, {**cast(Any, self.data).dict(), "seen": self.seen_now})
            which = "This key has" if self.count == 1 else "Some of these keys have"
            raise ValidationError(
                f"{which} changed since you opened this page, so nothing was done. "
                "Below is the present state: check it, and confirm again."
            )
        return values | {"states": self.states}


class KeyAction(ConfirmedAction):
    """An action on keys that refuses a key which changed after the form was checked."""

    form_class = KeyForm

    def form_options(self, keys: Sequence[Key]) -> dict[str, Any]:
        return {"keys": keys}

    def title(self, keys: Sequence[Key]) -> str:
        return f"{self.button(keys)}?"

    def button(self, keys: Sequence[Key]) -> str:
        return f"{self.label} {number_of_keys(keys)}"

    def consequences(self, keys: Sequence[Key]) -> list[str]:
        story = [sentence_about(keys[0])] if len(keys) == 1 else []
        return [*story, *self.results(keys)]

    @abstractmethod
    def results(self, keys: Sequence[Key]) -> list[str]:
        """Sentences about the consequences."""

    def check_unchanged(self, key: Key, values: Mapping[str, Any]) -> None:
        """Check that a key, which is locked, is as it was when the form was checked.

        Raises:
            DomainError: it has changed.
        """
        if values.get("states", {}).get(str(key.pk), state_of(key)) != state_of(key):
            raise DomainError(CHANGED)


class KeyRowAction(KeyAction, RowAction):
    """An action that calls one service for each key."""

    @abstractmethod
    def call_service(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        """Run the action on one key, which is locked and as the form showed it."""

    def apply(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        self.check_unchanged(key, values)
        self.call_service(key, audit, values)

    def change_row(self, row: Key, audit: AuditContext, values: dict[str, Any]) -> str:
        reason = super().change_row(row, audit, values)
        return LEFT_BECAUSE.get(reason, reason)


class Reveal(KeyAction):
    """Show a key unmasked, for some minutes and to this operator only."""

    name, label, past_tense, permission = "reveal", "Show", "Shown", "pools.reveal_key"
    for_many = False

    def results(self, keys: Sequence[Key]) -> list[str]:
        lines = ["You see the whole key on the next page. That you saw it is recorded."]
        match keys[0].state:
            case Key.State.AVAILABLE:
                lines.append("It stays available and will go to the next customer. Retire it if you plan to use it.")
            case Key.State.POPPED:
                lines.append("After this the key can't be put back: you will have seen it.")
        return lines

    def run(self, admin: Any, request: HttpRequest, keys: Sequence[Key], values: Mapping[str, Any]) -> HttpResponse:
        self.check_unchanged(lock(keys[0]), values)
        return SecretResponse(
            title=f"Key {keys[0].masked}",
            text=reveal_key(keys[0], audit_context_of(request, values["reference"])),
            section=admin.section,
            back=admin.change_url(keys[0]),
            again=True,
        )


class ReplaceForm(KeyForm):
    """Asks for the reason, and for a reference if the key was handed out for none."""

    reason = forms.CharField(
        required=False, max_length=MAX_REASON_CHARACTERS, help_text="For example refunded, defective, or a ticket."
    )

    field_order = ["reason", "reference"]

    def __init__(self, *args: Any, keys: Sequence[Key], **options: Any) -> None:
        super().__init__(*args, keys=keys, **options)
        pop = find_pop(keys[0])
        if pop and pop.reference:
            del self.fields["reference"]  # the new key is for the same one

    def clean_reason(self) -> str:
        return clean_line(self.cleaned_data["reason"])


class Replace(KeyAction):
    """Retire a key that was handed out, and hand out the next one in its place, in one transaction."""

    name, label, past_tense, permission = "replace", "Replace", "Replaced", "pools.withdraw_key"
    for_many = False
    form_class = ReplaceForm

    def is_allowed(self, request: HttpRequest) -> bool:
        # It hands out a key, and may give it to a license.
        return operator_of(request).has_perms([self.permission, "pools.pop_key", "licensing.add_license"])

    def unsafe_because(self, key: Key) -> str:
        license = licenses_with(key).first()
        try:
            check_replacement(key, license, find_pop(key))
        except KeyWithdrawn:
            return "This key is retired already. Hand out another key from its pool instead."
        except KeyNotPopped:
            return "This key was not handed out, so there is nothing to replace. Retire it if it must not be used."
        except LicenseGone:
            return (
                "The license that this key was issued with is revoked or has another key by now. "
                "Issue a new license instead."
            )
        if key.policy.pool.available_in_order().values_list("pk").first() is None:
            url = reverse("admin:pools_pendingimport_import", args=[key.policy_id])
            return format_html(
                'There is no other key in <bdi>{}</bdi>. <a href="{}">Import keys</a> first.', key.policy, url
            )
        return ""

    def results(self, keys: Sequence[Key]) -> list[str]:
        (key,) = keys
        license, pop = licenses_with(key).select_related("owner").first(), find_pop(key)
        lines = ["This key is retired: it will never be handed out, and can't be imported again. Permanent."]
        given = format_html("The next key of <bdi>{}</bdi> is handed out", key.policy)
        if pop and pop.reference:
            given = format_html("{} for <strong><bdi>{}</bdi></strong>", given, pop.reference)
        lines.append(format_html("{}, and shown on the next page.", given))
        if license:
            lines.append(
                format_html("The license of {} gets the new key. The old one stops working.", customer_of(license))
            )
        return lines

    def run(self, admin: Any, request: HttpRequest, keys: Sequence[Key], values: Mapping[str, Any]) -> HttpResponse:
        key = lock(keys[0])
        self.check_unchanged(key, values)
        audit = audit_context_of(request, values.get("reference", ""))
        try:
            new = replace_key_for_operator(policy=key.policy, text=key.key, audit=audit, reason=values["reason"])
        except PoolEmpty:
            raise DomainError(f"There is no other key in {key.policy}, so nothing was changed.") from None
        pop = find_pop(new)
        return SecretResponse(
            title=f"New key for {pop.reference}" if pop and pop.reference else "New key",
            text=new.key,
            section=admin.section,
            back=admin.change_url(new),
            again=True,
        )


class RetireForm(KeyForm):
    """Asks for the reason, and whether the license of the key shall be suspended."""

    reason = forms.CharField(
        required=False, max_length=MAX_REASON_CHARACTERS, help_text="For example refunded, defective, leaked."
    )
    suspend_license = forms.BooleanField(required=False)

    field_order = ["reason", "reference", "suspend_license"]

    def __init__(self, *args: Any, keys: Sequence[Key], **options: Any) -> None:
        super().__init__(*args, keys=keys, **options)
        license = working_license_of(keys)
        if license is None:
            del self.fields["suspend_license"]
        else:
            label = format_html("<span>Suspend the license of {} too</span>", customer_of(license))
            self.fields["suspend_license"].label = label

    def clean_reason(self) -> str:
        return clean_line(self.cleaned_data["reason"])


class Withdraw(KeyRowAction):
    name, label, past_tense, permission, danger = "withdraw", "Retire", "Retired", "pools.withdraw_key", True
    form_class = RetireForm

    def forbidden_fields(self, request: HttpRequest) -> Sequence[str]:
        return () if operator_of(request).has_perm("licensing.suspend_license") else ["suspend_license"]

    def unsafe_because(self, key: Key) -> str:
        return "This key is retired already. That is permanent." if key.withdrawn else ""

    def results(self, keys: Sequence[Key]) -> list[str]:
        if len(keys) > 1:
            return [
                "These keys will never be handed out, and can't be imported again. Permanent.",
                "Customers who have one of them get no other one, and their licenses go on working.",
            ]
        lines = ["This key will never be handed out, and can't be imported again. Permanent."]
        if keys[0].popped:
            lines.append("The customer gets no other key. To give them one, choose Replace instead.")
        if license := working_license_of(keys):
            lines.append(
                format_html("The license of {} goes on working unless you suspend it too.", customer_of(license))
            )
        return lines

    def call_service(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        withdraw_key(
            policy=key.policy,
            text=key.key,
            audit=audit,
            reason=values["reason"],
            suspend_license=values.get("suspend_license", False),
        )


class ReturnForm(KeyForm):
    """Asks the operator to confirm that the keys were not delivered."""

    undelivered = forms.BooleanField(
        label="No one has received or seen this key",
        help_text="This must be true of each key listed above: the next customer gets it.",
    )

    field_order = ["undelivered", "reference"]

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if self.count > MAX_ROWS_AT_ONCE:
            raise ValidationError(f"Put back {MAX_ROWS_AT_ONCE:,} keys at most at a time.")
        return values


class Return(KeyRowAction):
    name, label, past_tense, permission = "return", "Put back", "Put back", "pools.return_key"
    form_class = ReturnForm

    def unsafe_because(self, key: Key) -> str:
        try:
            check_return(key)
        except KeyWithdrawn:
            return "This key is retired, and that is permanent."
        except KeyNotPopped:
            return "This key was not handed out: it is still available."
        except KeyHeldByLicense:
            license = licenses_with(key).select_related("owner").first()
            who = format_html("The license of {}", customer_of(license)) if license else "A license"
            return format_html("{} has this key. Replace or retire it instead.", who)
        except KeyIssued:
            return "This key was issued with a license, so the customer may have it. Retire it instead."
        except KeyDisclosed:
            return _describe_disclosure(key)
        return ""

    def results(self, keys: Sequence[Key]) -> list[str]:
        which = "this key" if len(keys) == 1 else "these keys"
        return [
            f"The next customer will get {which}.",
            f"Check with the shop first: if it has passed {which} on, choose Replace instead.",
        ]

    def call_service(self, key: Key, audit: AuditContext, values: Mapping[str, Any]) -> None:
        return_key(policy=key.policy, text=key.key, undelivered=values["undelivered"], audit=audit)


def lock(key: Key) -> Key:
    """The same key, locked, with its policy.

    Raises:
        KeyNotFound: it was deleted meanwhile.
    """
    locked = Key.objects.select_for_update(of=("self",)).select_related("policy").filter(pk=key.pk).first()
    if locked is None:
        raise KeyNotFound
    return locked


def working_license_of(keys: Sequence[Key]) -> License | None:
    """The license that has the only key of an action, unless it is suspended."""
    if len(keys) != 1:
        return None
    return licenses_with(keys[0]).filter(suspended=False).select_related("owner").first()


def clean_line(text: str) -> str:
    """A text of a form, without surrounding blanks.

    Raises:
        ValidationError: it has several lines.
    """
    text = text.strip()
    if not is_one_line(text):
        raise ValidationError("Enter one line of text.")
    return text


def _describe_disclosure(key: Key) -> str:
    when, instead = format_time(key.disclosed), "so it can't be put back. Replace or retire it instead."
    match key.disclosure:
        case Key.Disclosure.EXPORTED:
            return format_html("{} exported this key on {}, {}", disclosed_to(key), when, instead)
        case Key.Disclosure.USED:
            return format_html("This key was used in another system before it was imported, {}", instead)
    return format_html("{} saw this key on {}, {}", disclosed_to(key), when, instead)
