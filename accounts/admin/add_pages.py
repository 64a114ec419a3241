"""Pages that add a row by a form of their own, instead of the form of the model."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.admin.base import ConsoleAdmin
from accounts.admin.form_once import form_id, replay_if_sent


class AddPage(ConsoleAdmin):
    """Replaces the page that adds a row. Its form runs once, however often it is sent.

    A subclass defines `add_page`: the page, or the response to its form, which must run through `run_form_once()`.
    """

    add_page: Callable[[HttpRequest], HttpResponse]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return replay_if_sent(request) or self.add_page(request)

    def render_add_page(
        self,
        request: HttpRequest,
        form: forms.Form,
        *,
        title: str,
        template: str = "admin/act.html",
        status: int = 200,
        **context: Any,
    ) -> HttpResponse:
        """The page with its form. `back`, the target of *Cancel*, is the list unless the context has another."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "section": self.section,
            "title": title,
            "form": form,
            "back": self.changelist_url(),
            "list_url": self.changelist_url(),
            "once": form_id(request),
            **context,
        }
        return TemplateResponse(request, template, context, status=status)
