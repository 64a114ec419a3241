"""Imports in the console: upload, check, confirm, progress."""

from collections.abc import Iterable
from itertools import chain
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.admin.actions import operator_of
from accounts.admin.base import ReadOnlyAdmin
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PART_BYTES
from pools.services.pending_imports import (
    check_pending_import,
    create_pending_import,
    resume_pending_import,
    run_pending_import,
)

FORMAT_TITLES = {"text": "Text, a key on each line", "csv": "CSV", "ndjson": "NDJSON"}


class UploadForm(forms.Form):
    keys = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "data-long": True})
    )
    file = forms.FileField(required=False, allow_empty_file=True)
    name = forms.CharField(
        max_length=255, required=False, label="Name", help_text="What you will know this import by, e.g. ACME PO 4711."
    )
    format = forms.ChoiceField(
        required=False,
        choices=[("", "By the file's name"), *FORMAT_TITLES.items()],
        help_text="Each may also be gzipped.",
    )
    column = forms.CharField(
        max_length=255,
        required=False,
        help_text="Where the keys are in CSV or NDJSON, if not in key, code or license_key: its name or number.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not values.get("file") and not (values.get("keys") or "").strip():
            raise forms.ValidationError("Paste some keys, or choose a file.")
        if values.get("file") and (values.get("keys") or "").strip():
            raise forms.ValidationError("Paste keys or choose a file, not both.")
        return values

    def blocks(self) -> Iterable[bytes]:
        """The bytes of the file or the pasted keys, in blocks of at most PART_BYTES."""
        if file := self.cleaned_data["file"]:
            return file.chunks(PART_BYTES)
        data = self.cleaned_data["keys"].encode(errors="surrogatepass")
        return (data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES))


@admin.register(PendingImport)
class PendingImportAdmin(ReadOnlyAdmin):
    """Pending imports. Not in the menu: the page of a policy has a button."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pools.add_keyimport")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("import/<uuid:policy>/", wrap(self.import_view), name="pools_pendingimport_import"),
            path("<uuid:pk>/", wrap(self.status_view), name="pools_pendingimport_change"),
            path("<uuid:pk>/progress/", wrap(self.progress_view), name="pools_pendingimport_progress"),
            path("<uuid:pk>/rejected/", wrap(self.rejected_view), name="pools_pendingimport_rejected"),
            path("", wrap(self.list_view), name="pools_pendingimport_changelist"),
        ]

    def list_view(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:pools_keyimport_changelist"))

    def context_of(self, request: HttpRequest, policy: Policy, **context: Any) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "policy": policy,
            "back": reverse("admin:licensing_policy_change", args=[policy.pk]),
            **context,
        }

    def import_view(self, request: Any, policy: UUID) -> HttpResponse:
        """Upload and check a file. The next page shows the result of the check."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        policies = self.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account")
        pooled_policy = policies.filter(pk=policy).select_related("account", "product").first()
        if pooled_policy is None:
            raise Http404
        is_sent = request.method == "POST"
        form = UploadForm(request.POST if is_sent else None, request.FILES if is_sent else None)
        if is_sent and form.is_valid():
            values = form.cleaned_data
            try:
                pending = create_pending_import(
                    policy=pooled_policy,
                    operator=operator_of(request),
                    blocks=form.blocks(),
                    source=values["file"].name if values["file"] else "",
                    **{name: values[name] for name in ("name", "format", "column")},
                )
            except DomainError as error:
                form.add_error("file", error.detail)
            else:
                check_pending_import(pending)
                return HttpResponseRedirect(reverse("admin:pools_pendingimport_change", args=[pending.pk]))
        context = self.context_of(request, pooled_policy, title=f"Import keys into {pooled_policy}", form=form)
        return TemplateResponse(request, "admin/pools/upload/new.html", context)

    def find_pending_import(self, request: HttpRequest, pk: UUID) -> PendingImport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        pending = self.get_queryset(request).select_related("policy__account", "key_import").filter(pk=pk).first()
        if pending is None:
            raise Http404
        return pending

    def status_view(self, request: Any, pk: UUID) -> HttpResponse:
        """The result of the check, the progress, or the result of the import. A POST starts or resumes the import."""
        pending = self.find_pending_import(request, pk)
        if request.method == "POST":
            if "again" in request.POST:
                resume_pending_import(pending)
            else:
                run_pending_import(pending, skip_invalid="skip" in request.POST)
            return HttpResponseRedirect(request.path)
        titles = {"checked": "Look before you import", "done": "Imported", "failed": "Not imported"}
        report = pending.report
        context = self.context_of(
            request,
            pending.policy,
            title=titles.get(pending.state, "One moment…"),
            upload=pending,
            report=report,
            more_rejected=report.get("rejected", 0) - len(report.get("first_rejected", ())),
            is_own=pending.operator_id == request.user.pk,
        )
        return TemplateResponse(request, "admin/pools/upload/upload.html", context)

    def progress_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        pending = self.find_pending_import(request, pk)
        total = pending.report.get("lines")  # known after the check
        share = min(1, pending.lines / total) if total else None
        verb = "looked at" if pending.state == PendingImport.State.CHECKING else "imported"
        text = f"{pending.lines:,} of {total:,} lines {verb}" if total else f"{pending.lines:,} lines {verb}"
        return JsonResponse({"running": pending.is_working, "text": text, "share": share})

    def rejected_view(self, request: Any, pk: UUID) -> StreamingHttpResponse:
        """The rejected lines as CSV, only for the operator who uploaded them: they may be keys."""
        pending = self.find_pending_import(request, pk)
        if pending.operator_id != request.user.pk:
            raise PermissionDenied
        parts = pending.read_file(PendingImportPart.Kind.REJECTED)
        first = next(parts, None)
        if first is None:
            raise Http404
        return StreamingHttpResponse(
            chain([first], parts),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="rejected-{pending.pk}.csv"'},
        )
