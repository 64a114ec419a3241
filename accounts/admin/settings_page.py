"""The settings page: the account, who gets mail, whether mail works, and the security of the console."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.actions import operator_of
from accounts.admin.base import ConsoleForm
from accounts.errors import TooManyRequests
from accounts.mail import admins_who_get_mail, can_send_mail, send_test_mail
from accounts.models import Account, User
from accounts.passwords import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS
from accounts.permissions import is_permitted
from accounts.rate_limits import TEST_MAILS
from accounts.second_factors import is_second_factor_required
from accounts.services import change_account

MAY_TEST_MAIL = "accounts.change_user"
SECOND_FACTOR_POLICIES = {
    "staff": "Everyone who uses the console needs a second factor.",
    "superusers": "Superusers need a second factor. It is optional for everyone else.",
    "none": "A second factor is optional.",
}


class OwnAccountForm(ConsoleForm):
    class Meta:
        model = Account
        fields = ("name", "protected")
        labels = {"protected": "Closed sign-up"}
        help_texts = {
            "protected": "Only your team and your products add customers. Otherwise anyone can sign up through the API."
        }


def settings_view(request: HttpRequest) -> HttpResponse:
    """Show the settings that matter to an operator, and where to change them."""
    operator = operator_of(request)
    account = operator.account
    sees_people = operator.has_perm("accounts.view_user")
    context = {
        **admin.site.each_context(request),
        "title": "Settings",
        "account": account,
        "may_change_account": account is not None and _may_change_account(operator),
        "api_url": f"{settings.SITE_URL}/v1/accounts/{account.slug}" if account else f"{settings.SITE_URL}/v1",
        "can_send_mail": can_send_mail(),
        "mail_from": settings.DEFAULT_FROM_EMAIL,
        "mail_host": settings.EMAIL_HOST if operator.is_superuser else "",
        "may_test_mail": operator.has_perm(MAY_TEST_MAIL),
        "receivers": list(admins_who_get_mail(account)) if account and sees_people else [],
        "policy": SECOND_FACTOR_POLICIES[settings.REQUIRE_SECOND_FACTOR],
        "is_required": is_second_factor_required(operator),
        "factor": operator.enabled_second_factor,
        "session_hours": settings.SESSION_COOKIE_AGE // 3600,
        "password_rule": f"{MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters",
        **(_count_factors(account) if sees_people else {}),
    }
    return TemplateResponse(request, "admin/settings.html", context)


def _count_factors(account: Account | None) -> dict[str, Any]:
    """How many people may use the console, and how many of them have a second factor."""
    people = User.objects.filter(account=account, is_staff=True, banned=None)
    return {"people": people.count(), "with_factor": people.filter(second_factor__enabled=True).count()}


def account_view(request: HttpRequest) -> HttpResponse:
    """Change the fields of the account that its admins may change."""
    operator = operator_of(request)
    account = operator.account
    if account is None or not _may_change_account(operator):
        raise PermissionDenied
    form = OwnAccountForm(request.POST if request.method == "POST" else None, instance=account)
    back = reverse("admin:settings")
    if form.is_valid():
        if form.changed_data:
            change_account(account, *form.changed_data)
            changed = [{"changed": {"fields": [str(form.fields[name].label) for name in form.changed_data]}}]
            admin.site._registry[Account].log_change(request, account, changed)
            messages.success(request, "Saved.")
        return HttpResponseRedirect(back)
    context = {
        **admin.site.each_context(request),
        "title": "Change the account",
        "opts": Account._meta,
        "section": "Settings",
        "list_url": back,
        "back": back,
        "form": form,
        "button": "Save",
    }
    return TemplateResponse(request, "admin/act.html", context)


def _may_change_account(operator: User) -> bool:
    """As in the API, by role; and in the console by the group of operators."""
    return operator.has_perm("accounts.change_user") and is_permitted("account.update", operator.as_bearer())


def send_test_view(request: HttpRequest) -> HttpResponse:
    """Send a test to the operator's own email, and say whether the mail server has taken it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    operator = operator_of(request)
    if not operator.has_perm(MAY_TEST_MAIL):
        raise PermissionDenied
    back = HttpResponseRedirect(reverse("admin:settings"))
    if not can_send_mail():
        messages.error(request, "Mail is not set up, so nothing was sent.")
        return back
    try:
        TEST_MAILS.hit(operator.pk)
    except TooManyRequests:
        messages.warning(request, "You have sent several tests already. Try again in ten minutes.")
        return back
    if send_test_mail(operator.email):
        messages.success(request, f"A test was sent to {operator.email}. Look for it in your mail, also in spam.")
    else:
        messages.error(request, "The mail server did not take the test. The log of the server says why.")
    return back


_console: Any = admin.site  # ours: `accounts.admin.site.Console`
_console.add_page("settings/", settings_view, "settings")
_console.add_page("settings/account/", account_view, "settings_account")
_console.add_page("settings/test-mail/", send_test_view, "settings_test_mail")
