"""The console as a whole: who gets in, and what the menu shows."""

from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import authenticate
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from accounts.admin.form_once import SHOWN_FOR, shown
from accounts.errors import TooManyRequests
from accounts.sign_in import AccountRequired


class SignInForm(AdminAuthenticationForm):
    """E-mail and password; and an account, where somebody has the same ones in several."""

    account = forms.CharField(
        required=False,
        help_text="Its short name, as in the addresses of the API.",
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autocapitalize": "none"}),
    )
    refusal = None  # TooManyRequests, when that was the answer

    def __init__(self, request=None, *args, **kwargs):
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "E-mail"
        self.fields["username"].widget = forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"})
        self.asks_account = "account" in request.GET or bool(self.data.get("account"))
        if not self.is_bound:
            self.initial["account"] = request.GET.get("account", "")

    def clean(self):
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not email or not password:
            return self.cleaned_data
        try:
            self.user_cache = authenticate(
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
        return self.cleaned_data


class Console(AdminSite):
    """The console. A superuser sees all accounts; everybody else the one that they belong to."""

    site_header = "License-key pools"
    site_title = "License-key pools"
    index_title = "Pools"
    site_url = None
    login_form = SignInForm
    empty_value_display = "–"

    def login(self, request, extra_context=None):
        response = super().login(request, extra_context)
        form = getattr(response, "context_data", {}).get("form")
        if form is not None and form.is_bound and form.refusal:
            response.status_code = form.refusal.status
            response["Retry-After"] = form.refusal.headers["Retry-After"]
        return response

    def get_urls(self) -> list[URLResolver | URLPattern]:
        shown = path("shown/<uuid:once>/", self.admin_view(self.shown_view), name="shown")
        return [shown, *super().get_urls()]

    def shown_view(self, request: HttpRequest, once: UUID) -> HttpResponse:
        """The secret that a form of the operator's has brought, for a few minutes."""
        stored, text = shown(request, once)
        if stored is None:
            raise Http404
        context = {
            **self.each_context(request),
            **stored.headers,
            "text": text,
            "minutes": SHOWN_FOR.seconds // 60,
            "until": stored.created + SHOWN_FOR,
        }
        return TemplateResponse(request, "admin/token.html", context, status=200 if text else 410)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Search for a field that a form completes, and no other. Django searches for any relation of any model."""
        asked = (request.GET.get("app_label"), request.GET.get("model_name"), request.GET.get("field_name"))
        offered = {
            (model._meta.app_label, model._meta.model_name, field)
            for model, model_admin in self._registry.items()
            for field in model_admin.get_autocomplete_fields(request)
        }
        if asked not in offered:
            return JsonResponse({"results": [], "pagination": {"more": False}}, status=403)
        return super().autocomplete_view(request)

    def get_app_list(self, request, app_label=None):
        apps = super().get_app_list(request, app_label)
        for app in apps:
            order = {model: place for place, model in enumerate(self._in_order(app["app_label"]))}
            for model in app["models"]:
                model["name"] = getattr(self._registry[model["model"]], "menu_name", "") or model["name"]
            app["models"].sort(key=lambda model: order[model["model"]])
        menu = settings.CONSOLE_MENU
        return sorted(apps, key=lambda app: menu.index(app["app_label"]) if app["app_label"] in menu else len(menu))

    def _in_order(self, app_label):
        """The models of an app, in the order in which they were registered."""
        return [model for model in self._registry if model._meta.app_label == app_label]
