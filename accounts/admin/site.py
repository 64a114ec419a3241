"""The console as a whole: sign-in, menu, and the page of secrets."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import authenticate
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from accounts.admin.actions import operator_of
from accounts.admin.ended_sessions import lead_back_through_sign_in
from accounts.admin.form_once import SECRET_LIFETIME, find_secret
from accounts.admin.link_pages import LinkPages
from accounts.admin.menu import console_menu
from accounts.admin.own_password import OwnPasswordView
from accounts.admin.recording import record_own
from accounts.admin.second_factor_pages import SecondFactorPages, begin_second_step, may_open
from accounts.errors import TooManyRequests
from accounts.models import Activity, User
from accounts.sessions import delete_expired_sessions
from accounts.sign_in import AccountRequired


class SignInForm(AdminAuthenticationForm):
    """E-mail and password, and the account if users of several accounts have the same ones."""

    account = forms.CharField(
        required=False,
        help_text="Its short name, as in the addresses of the API.",
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autocapitalize": "none"}),
    )
    refusal: TooManyRequests | None = None  # set by `clean()`
    half_signed_in: User | None = None  # set by `clean()`: a user whose second factor is still to be checked

    def __init__(self, request: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **{"label_suffix": "", **kwargs})
        self.fields["username"].label = "Email"
        self.fields["username"].widget = forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"})
        self.asks_account = "account" in request.GET or bool(self.data.get("account"))
        if not self.is_bound:
            self.initial["account"] = request.GET.get("account", "")

    def clean(self) -> dict[str, Any]:
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not email or not password:
            return self.cleaned_data
        try:
            self.user_cache: Any = authenticate(
                self.request, username=email, password=password, account=self.cleaned_data.get("account", "")
            )
        except TooManyRequests as error:
            self.refusal = error
            seconds = error.headers["Retry-After"]
            raise forms.ValidationError(f"Too many attempts. Try again in {seconds} seconds.") from None
        except AccountRequired as error:
            self.asks_account = True
            raise forms.ValidationError(error.detail) from None
        if self.user_cache is None:
            raise forms.ValidationError("Wrong email or password, or no access to the console.")
        if self.user_cache.enabled_second_factor:
            self.half_signed_in = self.user_cache
            raise forms.ValidationError("Enter the code of your second factor.")
        return self.cleaned_data


def page_not_found(request: HttpRequest, **named: str) -> HttpResponse:
    raise Http404


class Console(AdminSite):
    """The console. A superuser sees all accounts; other operators see their own account."""

    site_header = "License-key pools"
    site_title = "License-key pools"
    index_title = "Overview"
    site_url = None
    enable_nav_sidebar = False  # the menu is `admin/rail.html`
    login_form = SignInForm
    empty_value_display = "–"

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().login(request, extra_context)
        form = getattr(response, "context_data", {}).get("form")
        if form is not None and form.is_bound and form.half_signed_in:
            return begin_second_step(request, form.half_signed_in)
        if form is not None and form.is_bound and form.refusal:
            response.status_code = form.refusal.status
            response["Retry-After"] = form.refusal.headers["Retry-After"]
        if request.method == "POST" and response.status_code == 302:
            delete_expired_sessions()
            record_own(operator_of(request), Activity.Event.SIGNED_IN)
        return response

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        request.current_app = self.name
        context = {**self.each_context(request), **(extra_context or {})}
        return OwnPasswordView.as_view(extra_context=context)(request)

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._pages: list[URLPattern] = []

    def add_page(self, route: str, view: Callable[..., HttpResponseBase], name: str) -> None:
        """Add a page that belongs to no model. Its view gets the request and the arguments of the route.

        Call it while the modules of the console are loaded. The view checks permissions itself; a sign-in and, where
        one is required, the second factor are checked before.

        Args:
            route: the path below that of the console, as for `django.urls.path`.
            name: the name of the URL, to be reversed as `admin:<name>`.
        """
        self._pages.append(path(route, self.admin_view(view), name=name))

    def get_urls(self) -> list[URLResolver | URLPattern]:
        shown = path("shown/<uuid:once>/", self.admin_view(self.shown_view), name="shown")
        # Instead of Django's redirect to the public page of an object, which none of ours has.
        public = path(
            "r/<path:content_type_id>/<path:object_id>/", self.admin_view(page_not_found), name="view_on_site"
        )
        own = [*SecondFactorPages(self).urls(), *LinkPages(self).urls()]
        return [shown, public, *self._pages, *own, *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap the view of a page.

        An operator who has to set up a second factor is led to the page for that, and a form whose session has ended
        to the sign-in.
        """
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def led(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            may_enter = self.has_permission(request)
            if may_enter and not may_open(request):
                return HttpResponseRedirect(reverse("admin:second_factor"))
            if not may_enter and request.method == "POST" and request.path != reverse("admin:logout"):
                return lead_back_through_sign_in(request)
            return inner(request, *args, **kwargs)

        return led

    def may_send_files(self, request: HttpRequest, permission: str) -> bool:
        """Whether a page takes the file of a request: see `keygen_site.body_limits`."""
        return self.has_permission(request) and may_open(request) and request.user.has_perm(permission)

    def shown_view(self, request: HttpRequest, once: UUID) -> HttpResponse:
        """The page that shows the secret of a form to its operator, for SECRET_LIFETIME."""
        stored, text = find_secret(request, once)
        if stored is None:
            raise Http404
        if text and stored.headers.get("filename") and "download" in request.GET:
            disposition = f'attachment; filename="{stored.headers["filename"]}"'
            headers = {"Content-Disposition": disposition}
            return HttpResponse(f"{text}\n", content_type="text/plain; charset=utf-8", headers=headers)
        context = {
            **self.each_context(request),
            **stored.headers,
            "text": text,
            "example": stored.headers.get("example", "").replace("{secret}", text),
            "minutes": SECRET_LIFETIME.seconds // 60,
            "until": stored.created + SECRET_LIFETIME,
        }
        template = stored.headers.get("template", "admin/token.html")
        return TemplateResponse(request, template, context, status=200 if text else 410)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Search for autocomplete fields of our forms only. Django searches for any relation of any model."""
        field = (request.GET.get("app_label"), request.GET.get("model_name"), request.GET.get("field_name"))
        offered = {
            (model._meta.app_label, model._meta.model_name, name)
            for model, model_admin in self._registry.items()
            for name in model_admin.get_autocomplete_fields(request)
        }
        if field not in offered:
            return JsonResponse({"results": [], "pagination": {"more": False}}, status=403)
        return super().autocomplete_view(request)

    def each_context(self, request: Any) -> dict[str, Any]:
        context = super().each_context(request)
        return {**context, "menu": console_menu(request) if context["has_permission"] else []}

    def app_index(  # type: ignore[override]
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There are no pages of apps: the menu has all lists."""
        return HttpResponseRedirect(reverse("admin:index"))
