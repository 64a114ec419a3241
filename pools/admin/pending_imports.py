"""Imports in the console: paste or upload, preview, add, progress."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from accounts.admin.actions import operator_of
from accounts.admin.base import ReadOnlyAdmin
from accounts.admin.second_factor_pages import may_open
from accounts.models import User
from keygen_site.body_limits import refuse, takes_files
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from licensing.models import Policy
from pools.admin.form_owners import find_form_owner, sign_form
from pools.admin.import_forms import NameForm, OptionsForm, UploadForm, importable_pools
from pools.admin.import_words import (
    describe_problem,
    describe_reasons,
    describe_skipped,
    find_problem_fixes,
    suggest_name,
)
from pools.admin.pool_links import pool_url
from pools.key_files.descriptions import describe_understood
from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS
from pools.models import PendingImport
from pools.services.import_outlook import find_shared_prefix, pool_outlook
from pools.services.import_processing import options_of
from pools.services.import_workers import start_worker
from pools.services.pending_imports import (
    MAX_FILES,
    check_pending_import,
    create_pending_import,
    discard_pending_import,
    resume_pending_import,
    run_pending_import,
)


@admin.register(PendingImport)
class PendingImportAdmin(ReadOnlyAdmin):
    """Pending imports. They are listed in Imports; the page of a pool leads here."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pools.add_keyimport")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("import/", self.receive_view, name="pools_pendingimport_start"),
            path("import/<uuid:policy>/help/", wrap(self.help_view), name="pools_pendingimport_help"),
            path("import/<uuid:policy>/", self.receive_view, name="pools_pendingimport_import"),
            path("<uuid:pk>/", wrap(self.status_view), name="pools_pendingimport_change"),
            path("<uuid:pk>/progress/", wrap(self.progress_view), name="pools_pendingimport_progress"),
            path("<uuid:pk>/rejected/", wrap(self.rejected_view), name="pools_pendingimport_rejected"),
            path("", wrap(self.list_view), name="pools_pendingimport_changelist"),
        ]

    def list_view(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:pools_keyimport_changelist"))

    def render(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/pools/upload/{template}.html", context)

    # Pasting and uploading -------------------------------------------------------------------------------------------

    def find_policy(self, operator: User, policy: UUID) -> Policy:
        """The policy with a pool into which the operator may import.

        Raises:
            PermissionDenied: the operator may not import.
            Http404: the policy is of another account, or has no pool.
        """
        if not operator.has_perm("pools.add_keyimport"):
            raise PermissionDenied
        found = importable_pools(operator).filter(pk=policy).first()
        if found is None:
            raise Http404
        return found

    def help_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """The page that says which files are accepted."""
        pool = self.find_policy(operator_of(request), policy)
        return self.render(
            request,
            "help",
            title="Which files are accepted?",
            pool=pool,
            back=pool_url(pool.pk),
            min_characters=MIN_KEY_CHARACTERS,
            max_characters=f"{MAX_KEY_CHARACTERS:,}",
            max_files=MAX_FILES,
        )

    @takes_files("pools.add_keyimport")
    @method_decorator(never_cache)
    @csrf_exempt  # the form is signed; without the signature, `admin_view` checks the CSRF token
    def receive_view(self, request: Any, policy: UUID | None = None) -> HttpResponseBase:
        """The form for keys. Keys sent without a session are stored for the operator of the form."""
        owner = find_form_owner(request.POST.get("form", "")) if request.method == "POST" else None
        if owner is None:
            page: HttpResponseBase = self.admin_site.admin_view(self.import_view)(request, policy)
            return page
        is_signed_in = self.admin_site.has_permission(request) and request.user.pk == owner.pk
        if is_signed_in and may_open(request):
            return self.import_view(request, policy)
        return self._keep(request, owner, policy)

    def _keep(self, request: Any, owner: User, policy: UUID | None) -> HttpResponseBase:
        """Store keys until their operator has signed in."""
        pool = self.find_policy(owner, policy) if policy else None
        form = self._upload_form(request, owner, pool)
        if not form.is_valid():
            return HttpResponseRedirect(request.get_full_path())
        try:
            pending = self._store(form, owner, pool)
        except DomainError as error:
            return refuse(request, error)
        messages.info(request, "Your keys are kept. Sign in to see the preview.")
        return HttpResponseRedirect(reverse("admin:pools_pendingimport_change", args=[pending.pk]))

    def import_view(self, request: Any, policy: UUID | None = None) -> HttpResponse:
        """The form for keys. The next page is the preview."""
        operator = operator_of(request)
        if not self.has_view_permission(request):
            raise PermissionDenied
        pool = self.find_policy(operator, policy) if policy else None
        form = self._upload_form(request, operator, pool)
        if request.method == "POST" and form.is_valid():
            try:
                pending = self._store(form, operator, pool)
            except DomainError as error:
                form.add_error("file", error.detail)
            else:
                check_pending_import(pending)
                if form.retried:
                    discard_pending_import(form.retried)
                return HttpResponseRedirect(reverse("admin:pools_pendingimport_change", args=[pending.pk]))
        return self.render(
            request,
            "new",
            title=f"Import keys into {pool}" if pool else "Import keys",
            pool=pool,
            pools_exist=pool is not None or importable_pools(operator).exists(),
            back=pool_url(pool.pk) if pool else reverse("admin:pools_keyimport_changelist"),
            form=form,
            form_signature=sign_form(operator),
            max_files=MAX_FILES,
        )

    def _upload_form(self, request: Any, operator: User, pool: Policy | None) -> UploadForm:
        is_sent = request.method == "POST"
        retried = parse_uuid((request.POST if is_sent else request.GET).get("retry", ""))
        own = PendingImport.objects.of_console().unexpired().filter(operator_id=operator.pk)
        found = own.filter(pk=retried).first() if retried else None
        return UploadForm(
            request.POST if is_sent else None,
            request.FILES if is_sent else None,
            pools=importable_pools(operator) if pool is None else None,
            retried=found if found and found.has_file else None,
        )

    def _store(self, form: UploadForm, operator: User, pool: Policy | None) -> PendingImport:
        values = form.cleaned_data
        first, *more = form.sent_files()
        return create_pending_import(
            policy=pool or values["pool"],
            operator=operator,
            blocks=first.blocks,
            source=first.name,
            more_files=more,
            name=values["name"],
            options=form.read_options(),
        )

    # Preview, progress, result ---------------------------------------------------------------------------------------

    def find_pending_import(self, request: HttpRequest, pk: UUID) -> PendingImport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = (
            self.get_queryset(request)
            .of_console()
            .unexpired()
            .select_related("policy__account", "policy__product", "key_import")
        )
        pending: PendingImport | None = found.filter(pk=pk).first()
        if pending is None:
            raise Http404
        return pending

    def status_view(self, request: Any, pk: UUID) -> HttpResponse:
        """The preview, the progress, or the result.

        A POST starts or resumes the import, checks the files again with other options, or deletes them. The ledger
        names the operator who brought the files, so no other user does any of it; and a check may quote a line.
        """
        pending = self.find_pending_import(request, pk)
        is_own = pending.operator_id == request.user.pk
        if is_own and pending.state == PendingImport.State.RECEIVED and pending.size:
            check_pending_import(pending)  # it was sent without a session, or the server stopped before the check
        problem, forms = "", list[OptionsForm]()
        if request.method == "POST":
            if not is_own and "again" not in request.POST:
                problem = f"Nothing was done: only {pending.operator} can add these keys. To import them, upload them."
            else:
                response, problem, forms = self._act(request, pending)
                if response is not None:
                    return response
        report: Any = pending.report
        question = report.get("question", {})
        if is_own and pending.has_file and not forms:
            failed = pending.state == PendingImport.State.FAILED
            places = [_failed_place(pending)] if failed else range(len(pending.given_files))
            forms = [OptionsForm.of_file(pending, place) for place in places]
        if question and forms:
            # The page asks for it by itself.
            forms[0].fields.pop("header" if "firstRow" in question else "column", None)
        is_checked = pending.state == PendingImport.State.CHECKED
        has_outlook = is_checked or pending.state == PendingImport.State.DONE
        added = report["good"] - report["used"] if is_checked else 0
        outlook = pool_outlook(pending.policy, added) if has_outlook else None
        texts = [*report.get("first", ()), *report.get("last", ())] if is_own and is_checked else []
        return self.render(
            request,
            "upload",
            title=_title_of(pending, bool(question)),
            upload=pending,
            pool=pending.policy,
            back=pool_url(pending.policy_id),
            report=report,
            understood=list(_files_of(report, forms if is_checked else [], is_own)),
            reasons=list(describe_reasons(report)),
            skipped=list(describe_skipped(report)),
            more_skipped=report.get("rejected", 0) - len(report.get("first_rejected", ())),
            outlook=outlook,
            shared_prefix=find_shared_prefix(pending.policy, texts) if texts else "",
            has_serious=_has_serious(pending),
            reason=describe_problem(pending),
            reason_fixes=find_problem_fixes(pending),
            suggested_name=pending.name or suggest_name(pending),
            problem=problem,
            forms=forms,
            question=question,
            is_own=is_own,
            again_url=self._retry_url(pending) if is_own and pending.has_file else self._new_url(pending),
            new_url=self._new_url(pending),
        )

    def _act(self, request: Any, pending: PendingImport) -> tuple[HttpResponse | None, str, list[OptionsForm]]:
        """Run the action of a POST. Returns the response or, if it is refused, the problem or the forms with errors."""
        data, here = request.POST, HttpResponseRedirect(request.path)
        if "again" in data:
            resume_pending_import(pending)
        elif "discard" in data:
            if discard_pending_import(pending):
                messages.success(request, "Nothing was added, and the keys that you sent were deleted.")
                return HttpResponseRedirect(pool_url(pending.policy_id)), "", []
        elif "pick" in data:  # the column of a file, as `place:number`
            file, _, column = data["pick"].partition(":")
            place = _place_of(file, pending)
            self._check(pending, place, {**OptionsForm.values_of(options_of(pending, place)), "column": column})
        elif "fix" in data:  # an option and its value
            name, _, value = data["fix"].partition("=")
            place = _failed_place(pending)
            self._check(pending, place, {**OptionsForm.values_of(options_of(pending, place)), name: value})
        elif "check" in data:
            place = _place_of(data.get("place", ""), pending)
            form = OptionsForm(data, auto_id=f"id_{place}_%s")
            form.place = place
            if not form.is_valid():
                return None, "", [form]
            check_pending_import(pending, form.read_options(), place=place)
        else:
            return self._confirm(request, pending)
        return here, "", []

    def _check(self, pending: PendingImport, place: int, values: dict[str, Any]) -> None:
        """Check the files again, with other options for one of them."""
        form = OptionsForm(values)
        if form.is_valid():
            check_pending_import(pending, form.read_options(), place=place)

    def _confirm(self, request: Any, pending: PendingImport) -> tuple[HttpResponse | None, str, list[OptionsForm]]:
        """Add the keys that the operator has seen."""
        accepts = "accept_warnings" in request.POST
        form = NameForm(request.POST)
        if _has_serious(pending) and not accepts:
            return None, "Nothing was added. Look at the warnings, and confirm them above the button.", []
        if not form.is_valid():
            return None, f"Nothing was added. The name: {form.errors['name'][0]}", []
        shown = pending.updated.isoformat()  # another window may have checked the files again meanwhile
        if request.POST.get("seen", shown) == shown:
            run_pending_import(
                pending,
                skip_invalid="skip" in request.POST,
                accept_warnings=accepts,
                name=form.cleaned_data["name"] or pending.name or suggest_name(pending),
                seen=pending.updated,
            )
        else:
            messages.warning(request, "Nothing was added: the preview has changed meanwhile. Look at it again.")
        return HttpResponseRedirect(request.path), "", []

    def _new_url(self, pending: PendingImport) -> str:
        return reverse("admin:pools_pendingimport_import", args=[pending.policy_id])

    def _retry_url(self, pending: PendingImport) -> str:
        return f"{self._new_url(pending)}?retry={pending.pk}"

    def progress_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        pending = self.find_pending_import(request, pk)
        if pending.needs_worker:
            start_worker()
        if pending.queued:
            return JsonResponse({"running": True, "text": "Waiting for another import to end", "share": None})
        total = pending.report.get("lines")  # known after the check
        share = min(1, pending.lines / total) if total else None
        return JsonResponse({"running": pending.is_working, "text": progress_of(pending), "share": share})

    def rejected_view(self, request: Any, pk: UUID) -> StreamingHttpResponse:
        """The rejected lines as CSV, only for the operator who uploaded them: they may be keys."""
        pending = self.find_pending_import(request, pk)
        if pending.operator_id != request.user.pk:
            raise PermissionDenied
        parts = pending.read_rejected()
        first = next(parts, None)
        if first is None:
            raise Http404
        return StreamingHttpResponse(
            chain([first], parts),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="rejected-{pending.pk}.csv"'},
        )


def progress_of(pending: PendingImport) -> str:
    """How far the work on a pending import is, e.g. "Adding: 20,000 of 50,000 lines"."""
    is_check = pending.state in (PendingImport.State.CHECKING, PendingImport.State.CHECKED)
    total = pending.report.get("lines")
    lines = f"{pending.lines:,} of {total:,} lines" if total else f"{pending.lines:,} lines"
    return f"{'Checking' if is_check else 'Adding'}: {lines}"


def _title_of(pending: PendingImport, has_question: bool) -> str:
    if pending.is_interrupted:
        return "This import was interrupted"
    match pending.state:
        case PendingImport.State.CHECKED:
            return "Preview: nothing added yet"
        case PendingImport.State.DONE:
            added = pending.report.get("added", 0)
            return f"{added:,} key{'' if added == 1 else 's'} added"
        case PendingImport.State.FAILED:
            return "One question first" if has_question else "Nothing was added"
        case PendingImport.State.IMPORTING:
            return "Adding keys…"
    return "Checking…"


def _place_of(text: str, pending: PendingImport) -> int:
    """The place of a file, as a form names it; 0 for one that does not exist."""
    return next((place for place in range(len(pending.given_files)) if str(place) == text), 0)


def _failed_place(pending: PendingImport) -> int:
    """The place of the file that a failed check is about."""
    place: int = pending.report.get("question", pending.report).get("file", 0)
    return place


def _has_serious(pending: PendingImport) -> bool:
    return any(warning["serious"] for warning in pending.report.get("warnings", ()))


def _files_of(report: dict[str, Any], forms: Sequence[OptionsForm], is_own: bool) -> Iterator[dict[str, Any]]:
    """How each file was understood, with its columns and the form for its options.

    Other operators do not see the names of columns: they are keys if a row of keys was taken for the header.
    """
    form_of = {form.place: form for form in forms}
    for place, file in enumerate(report.get("understood", ())):
        columns = [
            {"name": name, "number": number, "samples": samples, "is_key": number == file["column_number"]}
            for name, number, samples in file["columns"]
        ]
        shown = file if is_own else {**file, "column": None, "stateColumns": [], "ignoredColumns": []}
        yield {**file, "text": describe_understood(shown), "columns": columns, "form": form_of.get(place)}
