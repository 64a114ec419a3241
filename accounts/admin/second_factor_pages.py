"""The second step of the sign-in to the console, and the pages on which operators set up their second factor."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import segno
from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import login, update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from accounts.admin.actions import operator_of
from accounts.admin.form_once import SECRET_LIFETIME, SecretResponse, form_id, replay_if_sent, run_form_once
from accounts.admin.recording import record_own
from accounts.authentication import client_ip
from accounts.errors import TooManyRequests
from accounts.models import Activity, SecondFactor, User
from accounts.second_factors import (
    PasswordNotProven,
    confirm_password,
    enable_second_factor,
    is_second_factor_required,
    must_set_up_second_factor,
    remove_second_factor,
    start_second_factor,
)
from accounts.sessions import delete_expired_sessions

if TYPE_CHECKING:
    from accounts.admin.site import Console

SECTION = "Second factor"
SECOND_STEP_SECONDS = 600  # to enter the code after the password
_SESSION_KEY = "second_step"
_SET_UP_KEY = "second_factor_set_up"
# The pages that an operator may open who has to set up a second factor first.
_SET_UP_PAGES = frozenset({"second_factor", "second_factor_set_up", "logout"})


class CodeInput(forms.TextInput):
    """A field for a code. It does not show a sent code again: the next attempt needs another one."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class ProofForm(forms.Form):
    """Asks an operator for proofs of identity, and counts the failures.

    Attributes:
        refusal: set if there were too many failures.
    """

    refusal: TooManyRequests | None = None

    def __init__(self, data: Any, *, request: HttpRequest, user: User) -> None:
        super().__init__(data)
        self.request, self.user = request, user

    def clean(self) -> dict[str, Any]:
        """Check the password first, so that a mistake in it does not use up the code."""
        if not self.errors:
            try:
                self._check()
            except PasswordNotProven:
                self.add_error("password", "This is not your password.")
            except TooManyRequests as error:
                self.refusal = error
                seconds = int(error.headers["Retry-After"])
                self.add_error(None, f"Too many attempts. Try again in {seconds} second{pluralize(seconds)}.")
        return self.cleaned_data

    def _check(self) -> None:
        if "password" in self.fields:
            confirm_password(self.user, self.cleaned_data["password"], ip_address=client_ip(self.request))
        if "code" in self.fields:
            factor = SecondFactor.objects.filter(user=self.user).first()
            if factor is None or not factor.accept(self.cleaned_data["code"]):
                self.add_error("code", "This code is not right, or was used before. Enter the next one that you see.")


def _password_field() -> forms.CharField:
    attributes = {"autocomplete": "current-password"}
    return forms.CharField(
        label="Your password", max_length=4096, strip=False, widget=forms.PasswordInput(attrs=attributes)
    )


def _code_field(help_text: str, **attributes: Any) -> forms.CharField:
    attributes = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false", **attributes}
    return forms.CharField(label="Code", max_length=64, help_text=help_text, widget=CodeInput(attrs=attributes))


APP_OR_RECOVERY = "Six digits from your authenticator app, or a recovery code."


class SignInCodeForm(ProofForm):
    code = _code_field(APP_OR_RECOVERY, autofocus=True)


class SetUpForm(ProofForm):
    code = _code_field("The six digits that the app shows now.", inputmode="numeric", autofocus=True)


class PasswordForm(ProofForm):
    password = _password_field()


class PasswordAndCodeForm(ProofForm):
    password = _password_field()
    code = _code_field(APP_OR_RECOVERY)


def may_open(request: HttpRequest) -> bool:
    """Whether an operator may open a page: one who has to set up a second factor may open the pages for that only."""
    match = request.resolver_match
    return not must_set_up_second_factor(operator_of(request)) or (match and match.url_name) in _SET_UP_PAGES


def begin_second_step(request: HttpRequest, user: User) -> HttpResponse:
    """Remember in a new session that the password of a user was right. The user is not signed in."""
    target = request.POST.get("next", "")
    request.session.flush()
    request.session[_SESSION_KEY] = {
        "user": str(user.pk),
        "hash": user.get_session_auth_hash(),
        "until": time.time() + SECOND_STEP_SECONDS,
        "next": target,
    }
    return HttpResponseRedirect(reverse("admin:second_step"))


def _find_user(request: HttpRequest) -> User | None:
    """The user whose password was right in the first step, if the user can still sign in."""
    state = request.session.get(_SESSION_KEY)
    if state is None or state["until"] < time.time():
        return None
    user = User.objects.select_related("account").filter(pk=state["user"], is_staff=True, banned=None).first()
    if user is None or not (user.account is None or user.account.is_active):
        return None
    # Another email, password or second factor since the first step: it has to be repeated.
    return user if constant_time_compare(state["hash"], user.get_session_auth_hash()) else None


class SecondFactorPages:
    """The pages, as part of the console."""

    def __init__(self, site: "Console") -> None:
        self.site = site

    def urls(self) -> list[URLPattern]:
        wrap: Callable[[Any], Any] = self.site.admin_view
        return [
            path("login/code/", self.second_step, name="second_step"),
            path("second-factor/", wrap(self.overview), name="second_factor"),
            path("second-factor/set-up/", wrap(self.set_up), name="second_factor_set_up"),
            path("second-factor/new-codes/", wrap(self.new_codes), name="second_factor_new_codes"),
            path("second-factor/turn-off/", wrap(self.turn_off), name="second_factor_turn_off"),
        ]

    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def second_step(self, request: HttpRequest) -> HttpResponse:
        """Ask for the code, after the password was right, and sign the user in."""
        user = _find_user(request)
        if user is None:
            if not self.site.has_permission(request):
                messages.warning(request, "Sign in with your password first. A code can be entered for ten minutes.")
            return HttpResponseRedirect(reverse("admin:login"))
        form = SignInCodeForm(request.POST if request.method == "POST" else None, request=request, user=user)
        if form.is_valid():
            target = request.session[_SESSION_KEY]["next"]
            request.session.flush()
            login(request, user)
            delete_expired_sessions()
            record_own(user, Activity.Event.SIGNED_IN)
            is_safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
            return HttpResponseRedirect(target if is_safe else reverse("admin:index"))
        return self._render(request, "admin/second_step.html", form, title="Sign in: the second step")

    def overview(self, request: HttpRequest) -> HttpResponse:
        """Whether the operator has a second factor; without one, the form that begins to set it up."""
        user = operator_of(request)
        factor = user.enabled_second_factor
        is_sent = request.method == "POST" and factor is None
        form = PasswordForm(request.POST if is_sent else None, request=request, user=user)
        if is_sent and form.is_valid():
            request.session[_SET_UP_KEY] = str(start_second_factor(user).pk)
            return HttpResponseRedirect(reverse("admin:second_factor_set_up"))
        return self._render(
            request,
            "admin/second_factor.html",
            form,
            factor=factor,
            codes_left=factor.count_recovery_codes() if factor else 0,
            is_required=is_second_factor_required(user),
        )

    def set_up(self, request: HttpRequest) -> HttpResponse:
        """Show the secret to the operator until a code proves that the app has it; then show the recovery codes."""
        if response := replay_if_sent(request):
            return response
        user = operator_of(request)
        # The password was entered shortly before, in this session: one that is left open does not show the secret.
        mine = {"pk": request.session.get(_SET_UP_KEY), "created__gte": timezone.now() - SECRET_LIFETIME}
        factor = SecondFactor.objects.filter(user=user, enabled=False, **mine).first()
        if factor is None:
            return HttpResponseRedirect(reverse("admin:second_factor"))
        form = SetUpForm(request.POST if request.method == "POST" else None, request=request, user=user)
        if form.is_valid():

            def enable() -> HttpResponse:
                codes = enable_second_factor(factor)
                return self._codes_response(user, "Turned on the second factor", codes, Activity.Event.SECOND_FACTOR_ON)

            return self._end_other_sessions(request, run_form_once(request, enable))
        secret = factor.secret
        return self._render(
            request,
            "admin/second_factor_set_up.html",
            form,
            title="Set up a second factor",
            picture=draw_qr_code(factor.uri),
            uri=factor.uri,
            secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
            once=form_id(request),
        )

    def new_codes(self, request: HttpRequest) -> HttpResponse:
        """Replace the recovery codes."""

        def renew(user: User) -> HttpResponse:
            codes = SecondFactor.objects.get(user=user).renew_recovery_codes()
            return self._codes_response(user, "Made new recovery codes", codes, Activity.Event.RECOVERY_CODES)

        consequences = ["The recovery codes that you have stop working, and ten new ones are shown on the next page."]
        return self._confirmed(request, "Make new recovery codes", consequences, renew)

    def turn_off(self, request: HttpRequest) -> HttpResponse:
        """Remove the second factor."""

        def remove(user: User) -> HttpResponse:
            remove_second_factor(user)
            _log(user, "Turned off the second factor", Activity.Event.SECOND_FACTOR_OFF)
            messages.success(request, "The second factor was turned off.")
            return HttpResponseRedirect(reverse("admin:second_factor"))

        consequences = [
            "You sign in with your password only, and so can everybody who learns it.",
            "The recovery codes stop working. Your other sessions end.",
        ]
        if is_second_factor_required(operator_of(request)):
            consequences.append(
                "You need a second factor: the console shows nothing else until you have set up another."
            )
        return self._confirmed(request, "Turn off the second factor", consequences, remove, danger=True)

    def _confirmed(
        self,
        request: HttpRequest,
        label: str,
        consequences: list[str],
        act: Callable[[User], HttpResponse],
        danger: bool = False,
    ) -> HttpResponse:
        """A page that asks for password and code, and then acts once."""
        if response := replay_if_sent(request):
            return response
        user, back = operator_of(request), reverse("admin:second_factor")
        if user.enabled_second_factor is None:
            return HttpResponseRedirect(back)
        form = PasswordAndCodeForm(request.POST if request.method == "POST" else None, request=request, user=user)
        if form.is_valid():
            return self._end_other_sessions(request, run_form_once(request, lambda: act(user)))
        return self._render(
            request,
            "admin/act.html",
            form,
            title=f"{label}?",
            button=label,
            danger=danger,
            consequences=consequences,
            back=back,
            opts={"verbose_name_plural": SECTION},
            once=form_id(request),
        )

    def _codes_response(self, user: User, message: str, codes: list[str], event: str) -> SecretResponse:
        _log(user, message, event)
        return SecretResponse(
            title="Your recovery codes",
            text="\n".join(codes),
            section=SECTION,
            back=reverse("admin:second_factor"),
            filename="recovery-codes.txt",
        )

    def _end_other_sessions(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Keep this session, which the changed second factor would end as well."""
        update_session_auth_hash(request, User.objects.get(pk=operator_of(request).pk))
        return response

    def _render(
        self, request: HttpRequest, template: str, form: ProofForm, title: str = SECTION, **context: Any
    ) -> HttpResponse:
        context = {**self.site.each_context(request), "title": title, "form": form, **context}
        if must_set_up_second_factor(form.user):
            context["menu"] = []  # its links lead back to this page
        response = TemplateResponse(request, template, context)
        if form.refusal:
            response.status_code = form.refusal.status
            response["Retry-After"] = form.refusal.headers["Retry-After"]
        return response


def draw_qr_code(text: str) -> SafeString:
    """A text as a QR code: SVG without inline style, dark on white in both themes, so that cameras read it."""
    code = segno.make(text, error="m", micro=False)
    svg = code.svg_inline(omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None, border=4)
    return mark_safe(svg)  # noqa: S308 - made of numbers only


def _log(user: User, message: str, event: str) -> None:
    """Record a change by a user to their own sign-in, in the user's history and in the activity."""
    record_own(user, event)
    LogEntry.objects.log_actions(user.pk, [user], CHANGE, message, single_object=True)
