"""Pages that need no sign-in: a forgotten password, and the links of mails to join a team or to set a new password.

The token of a link is taken out of the URL by a redirect before a page is shown. The session remembers only which
invitation or user it was about, and in which state. So the token is in no Referer, and in no table.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.auth import login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from accounts.admin.recording import record_own
from accounts.authentication import client_ip
from accounts.errors import LinkInvalid, TooManyRequests
from accounts.invitations import accept_invitation, find_invitation, invitation_state, open_invitation, role_label
from accounts.mail import can_send_mail
from accounts.models import Activity, User
from accounts.models.users import validate_email
from accounts.password_reset import find_console_user, may_reset_in_console, password_state, request_console_reset
from accounts.passwords import PASSWORD_HELP
from accounts.services import reset_console_password
from accounts.sessions import delete_expired_sessions

if TYPE_CHECKING:
    from accounts.admin.site import Console

PAGE_SECONDS = 30 * 60  # to fill in the page of a link after it was opened
_JOIN, _RESET = "join", "reset"  # keys of the session, and names of the URLs


def _new_password_field(label: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, max_length=4096, strip=False, widget=widget, **options)


class EmailForm(forms.Form):
    email = forms.CharField(
        max_length=255,
        validators=[validate_email],
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
        error_messages={"invalid": "Enter an email such as ann@example.com."},
    )


class NewPasswordForm(forms.Form):
    """A new password, twice."""

    new_password = _new_password_field("New password", help_text=PASSWORD_HELP)
    new_password_again = _new_password_field("New password again")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if "new_password_again" in values and values.get("new_password") != values["new_password_again"]:
            self.add_error("new_password_again", "The two passwords differ.")
        return values


class JoinForm(NewPasswordForm):
    first_name = forms.CharField(max_length=255, required=False, widget=forms.TextInput(attrs={"autofocus": True}))
    last_name = forms.CharField(max_length=255, required=False)

    field_order = ("first_name", "last_name", "new_password", "new_password_again")


class LinkPages:
    """The pages, as part of the console."""

    def __init__(self, site: "Console") -> None:
        self.site = site

    def urls(self) -> list[URLPattern]:
        return [
            path("forgot-password/", self.forgot_password, name="forgot_password"),
            path("reset-password/", self.reset, name=_RESET),
            path("join/", self.join, name=_JOIN),
        ]

    @method_decorator(never_cache)
    def forgot_password(self, request: HttpRequest) -> HttpResponse:
        """Mail a link for a new password. The page is the same whether or not the email belongs to a user."""
        form = EmailForm(request.POST if request.method == "POST" else None)
        refusal = None
        if form.is_valid() and can_send_mail():
            try:
                request_console_reset(email=form.cleaned_data["email"], ip_address=client_ip(request))
            except TooManyRequests as error:
                refusal = _add_refusal(form, error)
            else:
                return HttpResponseRedirect(f"{reverse('admin:forgot_password')}?sent")
        context = {"title": "Forgot your password?", "sent": "sent" in request.GET, "can_send_mail": can_send_mail()}
        return self._render(request, "admin/forgot_password.html", refusal, form=form, **context)

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def reset(self, request: HttpRequest) -> HttpResponse:
        """Set a new password. The user signs in afterwards, with the second factor where there is one."""
        if "token" in request.GET:
            found = find_console_user(request.GET["token"])
            return self._remember(request, _RESET, (found.pk, password_state(found)) if found else None)
        id, state = _opened(request, _RESET)
        user = User.objects.select_related("account").filter(pk=id).first() if id else None
        if user is None or password_state(user) != state or not may_reset_in_console(user):
            return self._dead_link(request)

        def act(values: dict[str, Any]) -> HttpResponse:
            new = values["new_password"]
            reset_console_password(user_id=user.pk, state=state, new=new, ip_address=client_ip(request))
            record_own(user, Activity.Event.PASSWORD_RESET)
            messages.success(request, "Your password was changed. Sign in with the new one.")
            return HttpResponseRedirect(reverse("admin:login"))

        title = "Choose a new password"
        return self._answer(
            request, _RESET, NewPasswordForm, act, "admin/reset_password.html", title=title, person=user
        )

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def join(self, request: HttpRequest) -> HttpResponse:
        """Accept an invitation: the person becomes a user, and is signed in."""
        if "token" in request.GET:
            found = find_invitation(request.GET["token"])
            return self._remember(request, _JOIN, (found.pk, invitation_state(found)) if found else None)
        id, state = _opened(request, _JOIN)
        invitation = open_invitation(id, state) if id else None
        if invitation is None:
            return self._dead_link(request)

        def act(values: dict[str, Any]) -> HttpResponse:
            person = accept_invitation(
                id=id,
                state=state,
                password=values["new_password"],
                first_name=values["first_name"],
                last_name=values["last_name"],
                ip_address=client_ip(request),
            )
            record_own(person, Activity.Event.JOINED)
            request.session.flush()  # of the person who was signed in in this browser
            login(request, person)
            delete_expired_sessions()
            messages.success(request, f"Welcome to {person.account}.")
            return HttpResponseRedirect(reverse("admin:index"))

        context = {
            "title": f"Join {invitation.account}",
            "invitation": invitation,
            "role": role_label(invitation.role, invitation.group.name),
        }
        return self._answer(request, _JOIN, JoinForm, act, "admin/join.html", **context)

    def _answer(
        self,
        request: HttpRequest,
        key: str,
        form_class: type[forms.Form],
        act: Callable[[dict[str, Any]], HttpResponse],
        template: str,
        **context: Any,
    ) -> HttpResponse:
        """The page of a link that was opened, or the response to its form."""
        form = form_class(request.POST if request.method == "POST" else None)
        refusal = None
        if form.is_valid():
            try:
                response = act(form.cleaned_data)
            except LinkInvalid:
                return self._dead_link(request)
            except TooManyRequests as error:
                refusal = _add_refusal(form, error)
            except ValidationError as error:
                for name, said in error.message_dict.items():
                    field = "new_password" if name == "password" else name
                    problems = [f"The {name.replace('_', ' ')} {each}." for each in said]
                    form.add_error(field if field in form.fields else None, problems)
            else:
                request.session.pop(key, None)
                return response
        return self._render(request, template, refusal, form=form, **context)

    def _remember(self, request: HttpRequest, key: str, found: tuple[Any, str] | None) -> HttpResponse:
        """Redirect to the page without the token."""
        if found is None:
            return self._dead_link(request)
        id, state = found
        request.session.cycle_key()  # a session that another person has planted in this browser learns nothing
        request.session[key] = {"id": str(id), "state": state, "until": time.time() + PAGE_SECONDS}
        return HttpResponseRedirect(reverse(f"admin:{key}"))

    def _dead_link(self, request: HttpRequest) -> HttpResponse:
        """The same page for all links that do not work: it reveals nothing about who exists."""
        response = self._render(request, "admin/dead_link.html", None, title="This link no longer works")
        response.status_code = LinkInvalid.status
        return response

    def _render(
        self, request: HttpRequest, template: str, refusal: TooManyRequests | None, **context: Any
    ) -> HttpResponse:
        # Nothing of a session that goes on in this browser: these pages are about another person, perhaps.
        context = {**self.site.each_context(request), "has_permission": False, "menu": [], **context}
        response = TemplateResponse(request, template, context)
        if refusal:
            response.status_code = refusal.status
            response["Retry-After"] = refusal.headers["Retry-After"]
        return response


def _opened(request: HttpRequest, key: str) -> tuple[str, str]:
    """The id and the state that `_remember()` has stored, unless that was too long ago: empty texts."""
    stored = request.session.get(key)
    if stored is None or stored["until"] < time.time():
        return "", ""
    return stored["id"], stored["state"]


def _add_refusal(form: forms.Form, error: TooManyRequests) -> TooManyRequests:
    minutes = -(-int(error.headers["Retry-After"]) // 60)
    form.add_error(None, f"Too many attempts. Try again in {minutes} minute{'s' * (minutes > 1)}.")
    return error
