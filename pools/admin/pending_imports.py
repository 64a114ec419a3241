"""Imports in the console: upload, check, confirm, progress."""

from collections.abc import Iterable
from dataclasses import asdict
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
from keygen_site.body_limits import takes_files
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy
from pools.key_files import FORMATS, ReadOptions, UsedRows
from pools.key_files.descriptions import describe_understood
from pools.key_files.encodings import ENCODINGS
from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS
from pools.models import PendingImport, PendingImportPart
from pools.models.pending_imports import PART_BYTES
from pools.services.import_processing import options_of
from pools.services.import_workers import start_worker
from pools.services.pending_imports import (
    check_pending_import,
    create_pending_import,
    resume_pending_import,
    run_pending_import,
)

FORMAT_TITLES = {
    "text": "Text, a key on each line",
    "csv": "CSV or columns with another delimiter",
    "xlsx": "Excel workbook (.xlsx)",
    "ndjson": "NDJSON, an object on each line",
    "json": "JSON, one list",
}
DELIMITER_TITLES = {"comma": "Comma  ,", "semicolon": "Semicolon  ;", "tab": "Tab", "pipe": "Vertical bar  |"}
USED_ROWS_TITLES = {
    UsedRows.REJECT: "Reject them",
    UsedRows.USED: "Add them as popped, so that they are never handed out",
    UsedRows.IGNORE: "Ignore that column, and add them as available",
}
FOUND_OUT = ("", "Found out from the content")


class OptionsForm(forms.Form):
    """How a file is read: `ReadOptions`. An empty value is found out from the content."""

    trim = forms.BooleanField(
        required=False,
        label="Remove blanks around each key",
        help_text="Otherwise a line that begins or ends with a blank is rejected. The next page says how many lines "
        "were changed.",
    )
    used_rows = forms.ChoiceField(
        required=False,
        label="Used rows",
        choices=list(USED_ROWS_TITLES.items()),
        help_text="Rows whose column status, used, sold, popped or the like says that the key has been used.",
    )
    format = forms.ChoiceField(
        required=False, choices=[FOUND_OUT, *((format, FORMAT_TITLES[format]) for format in FORMATS)]
    )
    encoding = forms.CharField(
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"list": "encodings", "placeholder": FOUND_OUT[1], "size": 30}),
        help_text="Only UTF-8, UTF-16 and UTF-32 can be found out. Old Windows programs write windows-1252.",
    )
    delimiter = forms.ChoiceField(
        required=False,
        choices=[FOUND_OUT, *DELIMITER_TITLES.items()],
        help_text="The character between the columns.",
    )
    header = forms.ChoiceField(
        required=False,
        choices=[FOUND_OUT, ("yes", "The first row has names"), ("no", "The first row has a key like the others")],
    )
    column = forms.CharField(
        max_length=255,
        required=False,
        help_text="The column or member with the keys: its name, or its number from 1.",
    )

    encodings = ENCODINGS  # to choose from

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """The fields that are shown in any case."""
        return [self["trim"], self["used_rows"]]

    @property
    def detail_fields(self) -> list[forms.BoundField]:
        """The fields that few files need."""
        return [self[name] for name in ("format", "encoding", "delimiter", "header", "column") if name in self.fields]

    @property
    def has_details(self) -> bool:
        """Whether a field in the details has a value or an error."""
        return any(field.value() or field.errors for field in self.detail_fields)

    def read_options(self) -> ReadOptions:
        values = self.cleaned_data
        return ReadOptions(
            format=values["format"] or None,
            encoding=values["encoding"] or None,
            delimiter=values["delimiter"] or None,
            header={"yes": True, "no": False}.get(values["header"]),
            column=values["column"] or None,
            trim=values["trim"],
            used_rows=UsedRows(values["used_rows"] or UsedRows.REJECT),
        )

    @staticmethod
    def values_of(options: ReadOptions) -> dict[str, Any]:
        """The initial values of the form for options."""
        values = {name: value for name, value in asdict(options).items() if value is not None}
        if options.header is not None:
            values["header"] = "yes" if options.header else "no"
        return values


class UploadForm(OptionsForm):
    keys = forms.CharField(
        required=False, strip=False, widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "data-long": True})
    )
    file = forms.FileField(required=False, allow_empty_file=True)
    name = forms.CharField(
        max_length=255, required=False, label="Name", help_text="What you will know this import by, e.g. ACME PO 4711."
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
            path("import/<uuid:policy>/help/", wrap(self.help_view), name="pools_pendingimport_help"),
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

    def find_policy(self, request: HttpRequest, policy: UUID) -> Policy:
        """The policy with a pool into which the operator may import.

        Raises:
            PermissionDenied: the operator may not import.
            Http404: the policy is of another account, or has no pool.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        policies = self.restrict_to_account(Policy.objects.filter(use_pool=True), request, "account")
        found = policies.filter(pk=policy).select_related("account", "product").first()
        if found is None:
            raise Http404
        return found

    def help_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """The page that says which files are accepted."""
        pooled_policy = self.find_policy(request, policy)
        context = self.context_of(
            request,
            pooled_policy,
            title="Which files are accepted?",
            min_characters=MIN_KEY_CHARACTERS,
            max_characters=f"{MAX_KEY_CHARACTERS:,}",
        )
        return TemplateResponse(request, "admin/pools/upload/help.html", context)

    @takes_files("pools.add_keyimport")
    def import_view(self, request: Any, policy: UUID) -> HttpResponse:
        """Upload and check a file. The next page shows the result of the check."""
        pooled_policy = self.find_policy(request, policy)
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
                    name=values["name"],
                    options=form.read_options(),
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
        pending = (
            self.get_queryset(request)
            .of_console()
            .select_related("policy__account", "key_import")
            .filter(pk=pk)
            .first()
        )
        if pending is None:
            raise Http404
        return pending

    def status_view(self, request: Any, pk: UUID) -> HttpResponse:
        """The result of the check, the progress, or the result of the import.

        A POST starts or resumes the import, or checks the file again with other options. The ledger names the operator
        who uploaded the file, so no other user starts it; and a check may quote a line of the file.
        """
        pending = self.find_pending_import(request, pk)
        form, problem, is_own = None, "", pending.operator_id == request.user.pk
        report = pending.report
        has_serious = any(warning["serious"] for warning in report.get("warnings", ()))
        if request.method == "POST":
            if not is_own and "again" not in request.POST:
                problem = f"Nothing was done: {pending.operator} uploaded this file. To import it, upload it yourself."
            elif "check" in request.POST:
                form = OptionsForm(request.POST)
                if form.is_valid():
                    check_pending_import(pending, form.read_options())
                    return HttpResponseRedirect(request.path)
            elif "again" in request.POST:
                resume_pending_import(pending)
                return HttpResponseRedirect(request.path)
            elif has_serious and "accept_warnings" not in request.POST:
                problem = "Nothing was imported. Look at the warnings, and confirm them with the box above the button."
            else:
                shown = pending.updated.isoformat()  # another window may have checked the file again meanwhile
                if request.POST.get("seen", shown) == shown:
                    run_pending_import(
                        pending,
                        skip_invalid="skip" in request.POST,
                        accept_warnings="accept_warnings" in request.POST,
                        seen=pending.updated,
                    )
                return HttpResponseRedirect(request.path)
        if form is None and is_own and pending.has_file:
            form = OptionsForm(initial=OptionsForm.values_of(options_of(pending)))
        question = report.get("question", {})
        titles = {"checked": "Look before you import", "done": "Imported", "failed": "Not imported"}
        if form and question:
            del form.fields["header" if "firstRow" in question else "column"]  # the page asks for it by itself
        context = self.context_of(
            request,
            pending.policy,
            title="One question first" if question else titles.get(pending.state, "One moment…"),
            upload=pending,
            report=report,
            understood=describe_understood(report["understood"]) if report.get("understood") else "",
            has_serious=has_serious,
            problem=problem,
            form=form,
            question=question,
            more_rejected=report.get("rejected", 0) - len(report.get("first_rejected", ())),
            is_own=is_own,
        )
        return TemplateResponse(request, "admin/pools/upload/upload.html", context)

    def progress_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        pending = self.find_pending_import(request, pk)
        if pending.needs_worker:
            start_worker()
        total = pending.report.get("lines")  # known after the check
        share = min(1, pending.lines / total) if total else None
        is_check = pending.state in (PendingImport.State.CHECKING, PendingImport.State.CHECKED)
        verb = "looked at" if is_check else "imported"
        if pending.queued:
            return JsonResponse({"running": True, "text": "Waiting for other imports", "share": None})
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
