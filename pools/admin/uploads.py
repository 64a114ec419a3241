"""StagedImport in the console: paste or drop, look, confirm, watch."""

from itertools import chain

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from accounts.admin.base import ReadOnlyAdmin
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy
from pools.key_files import FORMATS
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PART
from pools.services.uploads import check_upload, import_upload, keep_upload, resume_upload

TITLES = {"text": "Text, a key on each line", "csv": "CSV", "ndjson": "NDJSON"}


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
        choices=[("", "By the file's name"), *((format, TITLES[format]) for format in FORMATS)],
        help_text="Each may also be gzipped.",
    )
    column = forms.CharField(
        max_length=255,
        required=False,
        help_text="Where the keys are in CSV or NDJSON, if not in key, code or license_key: its name or number.",
    )

    def clean(self):
        values = super().clean()
        if not values.get("file") and not (values.get("keys") or "").strip():
            raise forms.ValidationError("Paste some keys, or choose a file.")
        if values.get("file") and (values.get("keys") or "").strip():
            raise forms.ValidationError("Paste keys or choose a file, not both.")
        return values

    def blocks(self):
        """The bytes that were given, some at a time."""
        if file := self.cleaned_data["file"]:
            return file.chunks(PART)
        data = self.cleaned_data["keys"].encode(errors="surrogatepass")
        return (data[start : start + PART] for start in range(0, len(data), PART))


@admin.register(PendingImport)
class PendingImportAdmin(ReadOnlyAdmin):
    """Not in the menu: the way here is a policy's button."""

    def has_module_permission(self, request):
        return False

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm("pools.add_keyimport")

    def get_urls(self):
        wrap = self.admin_site.admin_view
        return [
            path("import/<uuid:policy>/", wrap(self.import_view), name="pools_pendingimport_import"),
            path("<uuid:pk>/", wrap(self.upload_view), name="pools_pendingimport_change"),
            path("<uuid:pk>/progress/", wrap(self.progress_view), name="pools_pendingimport_progress"),
            path("<uuid:pk>/rejected/", wrap(self.rejected_view), name="pools_pendingimport_rejected"),
            path("", wrap(self.list_view), name="pools_pendingimport_changelist"),
        ]

    def list_view(self, request):
        return HttpResponseRedirect(reverse("admin:pools_keyimport_changelist"))

    def context_of(self, request, policy, **context):
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "policy": policy,
            "back": reverse("admin:licensing_policy_change", args=[policy.pk]),
            **context,
        }

    def import_view(self, request, policy):
        """Take keys or a file; what would come of it is on the next page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        policies = self.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account")
        policy = policies.filter(pk=policy).select_related("account", "product").first()
        if policy is None:
            raise Http404
        posted = request.method == "POST"
        form = UploadForm(request.POST if posted else None, request.FILES if posted else None)
        if posted and form.is_valid():
            values = form.cleaned_data
            try:
                upload = keep_upload(
                    policy=policy,
                    operator=request.user.email,
                    blocks=form.blocks(),
                    source=values["file"].name if values["file"] else "",
                    **{name: values[name] for name in ("name", "format", "column")},
                )
            except DomainError as error:
                form.add_error("file", error.detail)
            else:
                check_upload(upload)
                return HttpResponseRedirect(reverse("admin:pools_pendingimport_change", args=[upload.pk]))
        context = self.context_of(request, policy, title=f"Import keys into {policy}", form=form)
        return TemplateResponse(request, "admin/pools/upload/new.html", context)

    def upload(self, request, pk):
        if not self.has_view_permission(request):
            raise PermissionDenied
        upload = self.get_queryset(request).select_related("policy__account", "key_import").filter(pk=pk).first()
        if upload is None:
            raise Http404
        return upload

    def upload_view(self, request, pk):
        """What would come of it, how far it is, or what came of it."""
        upload = self.upload(request, pk)
        if request.method == "POST":
            if "again" in request.POST:
                resume_upload(upload)
            else:
                import_upload(upload, skip_invalid="skip" in request.POST)
            return HttpResponseRedirect(request.path)
        titles = {"checked": "Look before you import", "done": "Imported", "failed": "Not imported"}
        report = upload.report
        context = self.context_of(
            request,
            upload.policy,
            title=titles.get(upload.state, "One moment…"),
            upload=upload,
            report=report,
            more_rejected=report.get("rejected", 0) - len(report.get("first_rejected", ())),
            is_own=upload.operator == request.user.email,
        )
        return TemplateResponse(request, "admin/pools/upload/upload.html", context)

    def progress_view(self, request, pk):
        upload = self.upload(request, pk)
        # Of how many lines is known once they were looked at.
        total = upload.report.get("lines")
        share = min(1, upload.lines / total) if total else None
        verb = "looked at" if upload.state == PendingImport.State.CHECKING else "imported"
        text = f"{upload.lines:,} of {total:,} lines {verb}" if total else f"{upload.lines:,} lines {verb}"
        return JsonResponse({"running": upload.is_working, "text": text, "share": share})

    def rejected_view(self, request, pk):
        """The rejected lines as CSV, for whoever brought them: they may be keys."""
        upload = self.upload(request, pk)
        if upload.operator != request.user.email:
            raise PermissionDenied
        parts = upload.parts_of(PendingImportPart.Kind.REJECTED)
        begin = next(parts, None)
        if begin is None:
            raise Http404
        return StreamingHttpResponse(
            chain([begin], parts),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="rejected-{upload.pk}.csv"'},
        )
