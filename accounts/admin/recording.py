"""Changes in the console, as entries of the activity."""

from typing import Any

from django.http import HttpRequest

from accounts.admin.actions import ConfirmedAction, RowAction, audit_context_of
from accounts.audit import AuditContext
from accounts.models import Activity, User
from keygen_site.observability.request_context import request_id


class RecordingMixin:
    """Admin mixin: copies the entries of Django's own history of a row to the activity."""

    def log_history(self, request: HttpRequest, obj: Any, message: str) -> None:
        """Add to the history only: the ledger of keys has the change, so that the activity shows it already."""
        super().log_change(request, obj, message)  # type: ignore[misc]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if not getattr(obj, "in_ledger", False) and not getattr(obj, "service_records_creation", False):
            Activity.objects.record(Activity.Event.CREATED, obj, audit_context_of(request))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record the change of a form, or one that a page describes in its own words."""
        details: Activity.Details = {"what": message} if isinstance(message, str) else {"fields": fields_of(message)}
        if not getattr(obj, "in_ledger", False) and any(details.values()):
            Activity.objects.record(Activity.Event.CHANGED, obj, audit_context_of(request), details=details)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            if not getattr(row, "in_ledger", False):
                Activity.objects.record(Activity.Event.DELETED, row, audit_context_of(request))
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def log_action(self, request: HttpRequest, row: Any, action: ConfirmedAction) -> None:
        """Record an action on a row. A `RowAction` records itself, in the transaction of its row."""
        if not isinstance(action, RowAction):
            action.record(row, audit_context_of(request))
        super().log_change(request, row, action.past_tense)  # type: ignore[misc]


def fields_of(message: Any) -> list[str]:
    """The fields of a change as Django describes it: `[{"changed": {"fields": ["Name"]}}]`."""
    return [field for part in message or () for each in part.values() for field in each.get("fields", ())]


def record_own(user: User, event: str) -> None:
    """Record a change that users make to their own sign-in, or that they have signed in."""
    audit = AuditContext(operator=user.email, operator_id=user.pk, request_id=request_id.get() or "")
    Activity.objects.record(event, user, audit)
