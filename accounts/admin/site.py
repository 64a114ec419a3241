"""The console as a whole: sign-in, menu, and the page of secrets."""

from functools import wraps
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import authenticate
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from accounts.admin.form_once import SECRET_LIFETIME, find_secret
from accounts.admin.own_password import OwnPasswordView
from accounts.admin.second_factor_pages import SecondFactorPages, begin_second_step, may_open
from accounts.errors import TooManyRequests
from accounts.models import User
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
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "E-mail"
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
            raise forms.ValidationError("E-mail or password are not right, or their owner may not use the console.")
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
    index_title = "Pools"
    site_url = None
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
        return response

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        request.current_app = self.name
        context = {**self.each_context(request), **(extra_context or {})}
        return OwnPasswordView.as_view(extra_context=context)(request)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        shown = path("shown/<uuid:once>/", self.admin_view(self.shown_view), name="shown")
        # Instead of Django's redirect to the public page of an object, which none of ours has.
        public = path(
            "r/<path:content_type_id>/<path:object_id>/", self.admin_view(page_not_found), name="view_on_site"
        )
        return [shown, public, *SecondFactorPages(self).urls(), *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap the view of a page: an operator who has to set up a second factor is led to the page for that."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def led(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if self.has_permission(request) and not may_open(request):
                return HttpResponseRedirect(reverse("admin:second_factor"))
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
            "minutes": SECRET_LIFETIME.seconds // 60,
            "until": stored.created + SECRET_LIFETIME,
        }
        return TemplateResponse(request, "admin/token.html", context, status=200 if text else 410)

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

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        apps = super().get_app_list(request, app_label)
        for app in apps:
            order = {model: place for place, model in enumerate(self._models_of(app["app_label"]))}
            for model in app["models"]:
                model["name"] = getattr(self._registry[model["model"]], "menu_name", "") or model["name"]
            app["models"].sort(key=lambda model: order[model["model"]])
        menu = settings.CONSOLE_MENU
        return sorted(apps, key=lambda app: menu.index(app["app_label"]) if app["app_label"] in menu else len(menu))

    def _models_of(self, app_label: str) -> list[type[Model]]:
        """The models of an app, in the order of their registration."""
        return [model for model in self._registry if model._meta.app_label == app_label]
