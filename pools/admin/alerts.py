"""The low-stock alert of a pool: edited in place on the pool's page, and tried out by a test mail."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.mail import can_send_mail
from pools.admin.alert_forms import AlertForm, describe_alert
from pools.admin.pool_base import PoolPages
from pools.services.low_stock import send_test_alert, set_low_stock_alert


class AlertPages(PoolPages):
    """The page of the alert, which the pool's page has too, and the test mail."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:pk>/alert/", wrap(self.alert_view), name=f"{self._name}_alert"),
            path("<uuid:pk>/alert/test/", wrap(self.test_view), name=f"{self._name}_test"),
            *super().get_urls(),
        ]

    def alert_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Change the alert, and go back to the pool."""
        pool = self.find_pool(request, pk, "licensing.change_policy")
        form = AlertForm(request.POST if request.method == "POST" else None, initial=AlertForm.initial_of(pool))
        if request.method == "POST" and form.is_valid():
            if form.has_changed():
                set_low_stock_alert(pool, **form.arguments())
                self.log_change(request, pool, f"Low-stock alert: {describe_alert(pool)}")
            messages.success(request, f"Low-stock alert of {pool}: {describe_alert(pool)}.")
            return HttpResponseRedirect(self.change_url(pool))
        context = self.form_context(
            request, pool, title="Low-stock alert", form=form, can_send_mail=can_send_mail(), alert=describe_alert(pool)
        )
        return TemplateResponse(request, "admin/pools/pool/alert.html", context)

    def test_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Send a test mail to those who get the alert."""
        pool = self.find_pool(request, pk, "licensing.change_policy")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        emails = send_test_alert(pool)
        if emails:
            others = f" and {len(emails) - 3:,} others" if len(emails) > 3 else ""
            messages.success(request, f"Test sent to {', '.join(emails[:3])}{others}.")
        elif not can_send_mail():
            messages.error(request, "No test was sent: mail is not set up on this server (EMAIL_URL).")
        else:
            messages.error(request, "No test was sent: the account has no admin to send it to, or had too many mails.")
        return HttpResponseRedirect(self.change_url(pool))
