"""The page on which operators change their own password."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy

from accounts.admin.actions import operator_of
from accounts.admin.recording import record_own
from accounts.authentication import client_ip
from accounts.errors import TooManyRequests
from accounts.models import Activity, User
from accounts.password_reset import OldPasswordInvalid
from accounts.passwords import PASSWORD_HELP
from accounts.services import update_password


def _password_field(label: str, autocomplete: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, widget=widget, **options)


class OwnPasswordForm(forms.Form):
    """The old password, and the new one twice."""

    old_password = _password_field("Old password", "current-password")
    new_password = _password_field("New password", "new-password", help_text=PASSWORD_HELP)
    new_password_again = _password_field("New password again", "new-password")

    def __init__(self, user: User, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = user

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if "new_password_again" in values and values.get("new_password") != values["new_password_again"]:
            self.add_error("new_password_again", "The two new passwords differ.")
        return values


class OwnPasswordView(PasswordChangeView):
    """Changes the password as the API does: attempts are limited, and tokens and other sessions end."""

    form_class: Any = OwnPasswordForm
    template_name = "admin/own_password.html"
    title = "Change your password"
    success_url = reverse_lazy("admin:index")

    def form_valid(self, form: Any) -> HttpResponse:
        user, values = operator_of(self.request), form.cleaned_data
        refusal: TooManyRequests | None = None
        try:
            update_password(
                user, old=values["old_password"], new=values["new_password"], ip_address=client_ip(self.request)
            )
        except OldPasswordInvalid:
            form.add_error("old_password", "This is not your present password.")
        except ValidationError as error:
            form.add_error("new_password", [f"The password {message}." for message in error.messages])
        except TooManyRequests as error:
            refusal = error
            minutes = -(-int(error.headers["Retry-After"]) // 60)
            form.add_error(None, f"Too many attempts. Try again in {minutes} minute{'s' * (minutes > 1)}.")
        if form.errors:
            response = self.form_invalid(form)
            if refusal:
                response.status_code = refusal.status
                response["Retry-After"] = refusal.headers["Retry-After"]
            return response
        update_session_auth_hash(self.request, user)
        record_own(user, Activity.Event.PASSWORD_CHANGED)
        messages.success(
            self.request, "Your password was changed. Your other sessions and all your API tokens have ended."
        )
        return HttpResponseRedirect(self.get_success_url())
