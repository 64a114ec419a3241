from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts.admin.base import ConsoleAdmin, ConsoleForm, moment
from accounts.admin.form_once import Shown, form_id, once, sent_before
from accounts.models import Account
from accounts.services import create_account


class AccountForm(ConsoleForm):
    admin_email = forms.EmailField(
        required=False,
        help_text="Of its first admin, who gets a token that is shown on the next page, for a few minutes.",
    )

    def clean(self):
        values = super().clean()
        if self.instance._state.adding and not values.get("admin_email"):
            self.add_error("admin_email", "can't be blank")
        return values


@admin.register(Account)
class AccountAdmin(ConsoleAdmin):
    """The tenants: for superusers."""

    form = AccountForm
    account_path = "pk"
    list_display = ["name", "slug", "status", "since"]
    list_filter = ["status"]
    search_fields = ["name", "slug"]
    fields = ["name", "slug", "status", "protected"]

    def get_fields(self, request, account=None):
        return self.fields if account else [*self.fields, "admin_email"]

    def has_module_permission(self, request):
        return request.user.is_superuser

    def has_view_permission(self, request, obj=None):
        return request.user.is_superuser

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_change_permission(self, request, account=None):
        return request.user.is_superuser

    def save_model(self, request, account, form, change):
        if change:
            super().save_model(request, account, form, change)
            return
        values = {name: form.cleaned_data[name] for name in self.fields}
        made, form.first_admin, form.token = create_account(**values, email=form.cleaned_data["admin_email"])
        account.pk = made.pk
        request.made = form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make an account, once for each form that is opened."""
        if answer := sent_before(request):
            return answer
        add = partial(super().add_view, request, form_url, {"once": form_id(request), **(extra_context or {})})
        return once(request, add) if request.method == "POST" else add()

    def response_add(self, request: Any, account: Account, post_url_continue: str | None = None) -> Shown:
        made = request.made
        return Shown(
            title=f"A token for {made.first_admin}", text=made.token, section=str(self.opts.verbose_name_plural)
        )

    @admin.display(description="since", ordering="id")
    def since(self, account):
        return moment(account.created)
