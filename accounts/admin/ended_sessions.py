"""Forms that are sent after their session has ended."""

from typing import cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.contrib.messages.storage.base import BaseStorage
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

NOTHING_DONE = "Your session had ended, so nothing was done. Please do it again."


def lead_back_through_sign_in(request: HttpRequest) -> HttpResponse:
    """Redirect a form without a session to the sign-in, which leads back to the page that the form is on.

    Not to the URL that the form was sent to: that may answer POST only.
    """
    page = request.headers.get("Referer", "")
    target = reverse("admin:index")
    if page and url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure()):
        parts = urlsplit(page)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    messages.warning(request, NOTHING_DONE)
    return redirect_to_login(target, reverse("admin:login"))


def keep_notice(request: HttpRequest) -> None:
    """Let the page after the sign-in show NOTHING_DONE too, although the sign-in page has shown it."""
    shown = cast(BaseStorage, messages.get_messages(request))
    shown.used = not any(message.message == NOTHING_DONE for message in shown)
