"""Actions on the rows that an operator has chosen in a list: up to MAX_ROWS, in the background beyond MAX_ROWS_AT_ONCE.

The choice is stored (`BulkAction`), so that it is in no URL, and so that the list keeps its filters afterwards.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import close_old_connections, transaction
from django.db.models import F, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.admin.actions import ConfirmedAction, RowAction, audit_context_of, operator_of
from accounts.background import JobQueue
from accounts.models import BulkAction, BulkActionRows, User
from accounts.models.bulk_actions import INTERRUPTED_AFTER, pack_ids
from keygen_site.jsonapi.errors import DomainError

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin
    from accounts.admin.site import Console

MAX_ROWS = 100_000
MAX_ROWS_AT_ONCE = 1_000  # in the request of the form
LOADED_ROWS = 500

# Mail does not wait for these.
_queue = JobQueue()


class ProcessReplaced(Exception):
    """Another process has taken over a bulk action, because this one seemed to have ended."""


class ChosenRows(Sequence[Any]):
    """The rows of a bulk action that still exist and that the operator may see, in the order of their ids.

    They are loaded LOADED_ROWS at a time. That is the order in which a pool hands out keys, so that two transactions
    that lock several cannot deadlock.
    """

    def __init__(self, rows: "QuerySet[Any]", ids: Sequence[UUID]) -> None:
        self._rows = rows
        self.ids = sorted(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.load(self.ids[index])
        return self.load([self.ids[index]])[0]

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.ids), LOADED_ROWS):
            yield from self.load(self.ids[start : start + LOADED_ROWS])

    def load(self, ids: Sequence[UUID]) -> list[Any]:
        return list(self._rows.filter(pk__in=ids).order_by("pk"))


def store_choice(
    request: HttpRequest, model: type[Model], action: ConfirmedAction, rows: "QuerySet[Any]"
) -> BulkAction:
    """Store the rows that an operator has chosen for an action.

    Raises:
        DomainError: they are more than MAX_ROWS.
    """
    ids = list(rows.values_list("pk", flat=True)[: MAX_ROWS + 1])
    if len(ids) > MAX_ROWS:
        raise DomainError(f"These are more than {MAX_ROWS:,} rows. Narrow the list down with its filters first.")
    filters = request.GET.copy()
    filters.pop("q", None)  # it may be the text of a key
    with transaction.atomic():
        BulkAction.objects.prune()
        chosen = BulkAction.objects.create(
            operator=operator_of(request),
            model_label=model._meta.label_lower,
            action=action.name,
            filters=filters.urlencode(),
            total=len(ids),
        )
        BulkActionRows.objects.create(bulk_action=chosen, ids=pack_ids(ids))
    return chosen


def find_choice(request: HttpRequest, id: UUID, model: type[Model], action: ConfirmedAction) -> BulkAction:
    """The rows that this operator has chosen for an action.

    Raises:
        Http404: there is no such choice.
    """
    chosen = BulkAction.objects.filter(
        pk=id, operator=operator_of(request).pk, model_label=model._meta.label_lower, action=action.name
    ).first()
    if chosen is None:
        raise Http404
    return chosen


def start_bulk_action(request: HttpRequest, chosen: BulkAction, values: dict[str, Any]) -> HttpResponse:
    """Begin with the action in the background, and lead to the page that shows its progress."""
    now = timezone.now()
    request_id: str = request.id  # type: ignore[attr-defined]
    begun = BulkAction.objects.filter(pk=chosen.pk, started=None)
    if begun.update(started=now, alive=now, claims=1, values=values, request_id=request_id):
        transaction.on_commit(lambda: _queue.put(run_bulk_action, chosen.pk, 1))
    return HttpResponseRedirect(reverse("admin:bulk_action", args=[chosen.pk]))


def resume_if_interrupted(bulk: BulkAction) -> None:
    """Let this process go on with a bulk action whose process has ended."""
    if not bulk.is_interrupted:
        return
    same = BulkAction.objects.filter(pk=bulk.pk, claims=bulk.claims, finished=None)
    if same.filter(alive__lt=timezone.now() - INTERRUPTED_AFTER).update(alive=timezone.now(), claims=F("claims") + 1):
        _queue.put(run_bulk_action, bulk.pk, bulk.claims + 1)


def run_bulk_action(id: UUID, claim: int) -> None:
    """Run a bulk action from where it stands to its end, unless another process takes it over.

    Args:
        claim: the number of this attempt, `BulkAction.claims`.
    """
    close_old_connections()
    try:
        bulk = BulkAction.objects.get(pk=id)
        request = HttpRequest()
        request.id = bulk.request_id  # type: ignore[attr-defined]
        model_admin, action = _admin_and_action(bulk)
        chosen = sorted(bulk.row_ids())  # see `ChosenRows`
        while bulk.done < bulk.total:
            # Read again for each part: the operator may have lost the permission meanwhile.
            operator = User.objects.select_related("account").filter(pk=bulk.operator_id).first()
            if operator is None:
                return  # and the bulk action is deleted with the operator
            request.user = operator
            is_allowed = operator.may_use_console and action.is_allowed(request)
            ids = chosen[bulk.done : bulk.done + LOADED_ROWS]
            rows = model_admin.get_queryset(request).filter(pk__in=ids)
            found = {row.pk: row for row in rows} if is_allowed else {}
            for pk in ids:
                _run_on_row(request, model_admin, action, bulk, claim, found.get(pk))
        _claimed(bulk, claim).update(finished=timezone.now())
    except ProcessReplaced:
        return
    finally:
        close_old_connections()


def _run_on_row(
    request: HttpRequest, model_admin: "ConsoleAdmin", action: RowAction, bulk: BulkAction, claim: int, row: Any
) -> None:
    """Run the action on a row, with the progress in the same transaction."""
    with transaction.atomic():
        reason = "is gone, or is no longer yours to change"
        if row is not None and model_admin.may_run(request, row, action):
            reason = action.change_row(row, audit_context_of(request, bulk.values.get("reference", "")), bulk.values)
        if reason:
            bulk.refused[reason] = bulk.refused.get(reason, 0) + 1
        else:
            bulk.changed += 1
            LogEntry.objects.log_actions(bulk.operator_id, [row], CHANGE, action.past_tense, single_object=True)
        bulk.done += 1
        progress = {"done": bulk.done, "changed": bulk.changed, "refused": bulk.refused}
        if not _claimed(bulk, claim).update(**progress, alive=timezone.now()):
            raise ProcessReplaced


def _claimed(bulk: BulkAction, claim: int) -> "QuerySet[BulkAction]":
    return BulkAction.objects.filter(pk=bulk.pk, claims=claim, finished=None)


def _admin_and_action(bulk: BulkAction) -> "tuple[ConsoleAdmin, RowAction]":
    """The list and the action of a bulk action."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.label_lower == bulk.model_label:
            console_admin: Any = model_admin
            for action in console_admin.confirmed_actions:
                if action.name == bulk.action and isinstance(action, RowAction):
                    return console_admin, action
    raise ValidationError(f"No list has the action {bulk.action} on {bulk.model_label}")


# Pages ---------------------------------------------------------------------------------------------------------------


def _find_started(request: HttpRequest, pk: UUID) -> BulkAction:
    bulk = BulkAction.objects.filter(pk=pk, operator=operator_of(request).pk, started__isnull=False).first()
    if bulk is None:
        raise Http404
    return bulk


def bulk_action_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The progress and the result of a bulk action."""
    bulk = _find_started(request, pk)
    resume_if_interrupted(bulk)
    model_admin, action = _admin_and_action(bulk)
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": action.result(bulk.changed, model_admin.opts) if bulk.finished else f"{action.label}: working…",
        "section": model_admin.section,
        "list_url": model_admin.changelist_url(),
        "back": with_filters(model_admin.changelist_url(), bulk.filters),
        "bulk": bulk,
    }
    return TemplateResponse(request, "admin/bulk_action.html", context)


def bulk_action_progress_view(request: HttpRequest, pk: UUID) -> JsonResponse:
    bulk = _find_started(request, pk)
    resume_if_interrupted(bulk)
    text = f"{bulk.done:,} of {bulk.total:,} done"
    return JsonResponse({"running": bulk.is_running, "text": text, "share": bulk.done / max(bulk.total, 1)})


def with_filters(url: str, filters: str) -> str:
    """The URL of a list with the query that it had when the rows were chosen."""
    return f"{url}?{filters}" if filters else url


site = cast("Console", admin.site)
site.add_page("actions/<uuid:pk>/", bulk_action_view, "bulk_action")
site.add_page("actions/<uuid:pk>/progress/", bulk_action_progress_view, "bulk_action_progress")
