from collections.abc import Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.admin.actions import ConfirmedAction, operator_of
from accounts.admin.base import ConsoleAdmin, ConsoleForm, format_time
from accounts.admin.form_once import form_id, replay_if_sent, run_form_once
from accounts.admin.users import console_link_response
from accounts.models import Account, SigningKey
from accounts.services import change_account, create_account, set_console_access
from accounts.signing.algorithms import KEY_KINDS

FIELDS = ("name", "slug", "status", "protected", "mask_keys")


class AccountForm(ConsoleForm):
    admin_email = forms.EmailField(
        required=False,
        label="First admin's email",
        help_text="They get a link to choose a password, and may then use the console as Operator.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.instance._state.adding and not values.get("admin_email"):
            self.add_error("admin_email", "Enter the email of the first admin.")
        return values


class RotationForm(forms.Form):
    keys = forms.MultipleChoiceField(
        choices=[(kind, kind) for kind in KEY_KINDS],
        initial=KEY_KINDS,
        widget=forms.CheckboxSelectMultiple,
        help_text="The keys to replace.",
    )


class RotateSigningKeys(ConfirmedAction):
    """Gives an account new signing keys. Processes notice it with their next request."""

    name, label, past_tense = "rotate-signing-keys", "Rotate signing keys", "Rotated signing keys"
    permission, danger, for_many = "accounts.change_account", True, False
    form_class = RotationForm

    def consequences(self, rows: Sequence[Account]) -> list[str]:
        return [
            "Responses, license files and signed keys made from now on are signed by new keys.",
            "Apps that contain the old public key refuse them until they know the new one.",
            "The old public keys stay published (meta.retiredKeys): they verify what they have signed.",
            "The old private keys are deleted. This cannot be undone.",
        ]

    def run(
        self, admin: ConsoleAdmin, request: HttpRequest, rows: Sequence[Account], values: dict[str, Any]
    ) -> HttpResponse:
        SigningKey.objects.rotate(rows[0], *values["keys"])
        admin.message_user(request, f"{self.past_tense}: {', '.join(values['keys'])}.")
        return HttpResponseRedirect(admin.change_url(rows[0]))


@admin.register(Account)
class AccountAdmin(ConsoleAdmin):
    """The accounts: for superusers."""

    form = AccountForm
    account_path = "pk"
    list_display = ["name", "slug", "status", "created_at"]
    list_filter = ["status"]
    search_fields = ["name", "slug"]
    fields = FIELDS
    confirmed_actions = [RotateSigningKeys()]

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> Any:
        return self.fields if obj else [*self.fields, "admin_email"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return operator_of(request).is_superuser

    def has_add_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return operator_of(request).is_superuser

    def save_model(self, request: Any, obj: Account, form: Any, change: bool) -> None:
        if change:
            if names := [name for name in form.changed_data if name in FIELDS]:
                change_account(obj, *names)
            return
        values = {name: form.cleaned_data[name] for name in FIELDS}
        account, form.first_admin, _ = create_account(**values, email=form.cleaned_data["admin_email"])
        obj.pk = account.pk
        if group := Group.objects.filter(name="Operator").first():
            set_console_access(form.first_admin, group)
        request.account_form = form  # for `response_add()`

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Create an account, once per opened form."""
        if response := replay_if_sent(request):
            return response
        add = partial(super().add_view, request, form_url, {"once": form_id(request), **(extra_context or {})})
        return run_form_once(request, add) if request.method == "POST" else add()

    def response_add(self, request: Any, obj: Account, post_url_continue: str | None = None) -> HttpResponse:
        first_admin = request.account_form.first_admin
        done = f"The account {obj.name} was created."
        return console_link_response(self, request, first_admin, done=done, back=self.changelist_url())

    @admin.display(description="created", ordering="id")
    def created_at(self, account: Account) -> str:
        return format_time(account.created)
