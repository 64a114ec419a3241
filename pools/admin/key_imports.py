"""Imports in the console: the list, with those that wait or run, and the page of each."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from accounts.admin.actions import operator_of
from accounts.admin.base import AccountScopedFilter, ReadOnlyAdmin, format_time
from accounts.admin.operators import operator_name, with_operators
from pools.admin.import_actions import MoveImport, RetireRest, UndoImport, counts_of
from pools.admin.pending_imports import progress_of
from pools.admin.pool_links import pool_url
from pools.models import KeyImport, PendingImport
from pools.services.pending_imports import delete_expired_imports

MAX_OPEN_IMPORTS, MAX_SHOWN_MOVES = 20, 20


class PoolFilter(AccountScopedFilter):
    """The pools of the account."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "pool"


@admin.register(KeyImport)
class KeyImportAdmin(ReadOnlyAdmin):
    """Imports: each is a batch of keys with a name."""

    menu_name = "Imports"
    confirmed_actions = [UndoImport(), MoveImport(), RetireRest()]
    hint = "No imports yet. Import keys to fill a pool."
    list_display = ["label", "of_policy", "keys", "skipped", "by", "when"]
    list_select_related = ["policy"]
    list_filter = [("policy", PoolFilter)]
    search_fields = ["name", "source", "operator"]
    search_help_text = "Batch, file name or person"
    fields = ["name", "source"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_operators(super().get_queryset(request).filter(loading=None))

    @admin.display(description="batch")
    def label(self, key_import: KeyImport) -> str:
        return format_html("<bdi>{}</bdi>", key_import)

    @admin.display(description="pool")
    def of_policy(self, key_import: KeyImport) -> str:
        return format_html('<a href="{}"><bdi>{}</bdi></a>', pool_url(key_import.policy_id), key_import.policy)

    @admin.display(description="keys added", ordering="added")
    def keys(self, key_import: KeyImport) -> str:
        return f"{key_import.added:,}"

    @admin.display(description="skipped", ordering="rejected")
    def skipped(self, key_import: KeyImport) -> str:
        return f"{key_import.rejected:,}"

    @admin.display(description="added by", ordering="operator")
    def by(self, key_import: KeyImport) -> str:
        return author_of(key_import)

    @admin.display(description="when", ordering="id")
    def when(self, key_import: KeyImport) -> str:
        return format_time(key_import.created)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        delete_expired_imports()
        may_import = operator_of(request).has_perm("pools.add_keyimport")
        context = {
            "may_import": may_import,
            "open_imports": self._open_imports(request) if may_import else [],
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _open_imports(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The imports that run, failed, or wait for their operator, the newest first."""
        imports = self.restrict_to_account(PendingImport.objects.select_related("policy"), request, "account")
        of_console = list(imports.open().order_by("-id")[:MAX_OPEN_IMPORTS])
        of_api = list(imports.unfinished().exclude(bearer_id=None).order_by("-id")[:MAX_OPEN_IMPORTS])
        return [
            {
                "pending": pending,
                "pool_url": pool_url(pending.policy_id),
                "is_own": pending.operator_id == request.user.pk,
                **_state_of(pending),
            }
            for pending in [*of_console, *of_api]
        ]

    def render_change_form(
        self,
        request: Any,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        key_import: KeyImport = obj
        actions: Any = self.allowed_actions(request, key_import)
        pending = PendingImport.objects.of_console().filter(pk=key_import.pk, operator_id=request.user.pk)
        moved = KeyImport.objects.filter(moved_from=key_import).select_related("policy")
        context |= {
            "key_import": key_import,
            "counts": counts_of(key_import),
            "author": self.by(key_import),
            "pool_url": pool_url(key_import.policy_id),
            "batch_actions": [
                (action, action.offer(key_import), self.action_url(action, key_import)) for action in actions
            ],
            "nothing_left": not actions and bool(self.allowed_actions(request)),
            "moved": list(moved[:MAX_SHOWN_MOVES]),
            "has_report": pending.exists(),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)


def author_of(key_import: KeyImport) -> str:
    """Who added the keys of an import: an operator, a bearer of the API, or a command."""
    if key_import.operator_id:
        return operator_name(key_import)
    if key_import.bearer_type:
        return f"API ({key_import.bearer_type.rstrip('s')})"
    return "Command line" if key_import.operator.startswith("manage.py") else key_import.operator


def _state_of(pending: PendingImport) -> dict[str, str]:
    """The state of a pending import for its page: words, actions and style."""
    if pending.is_interrupted:
        return {"state": "Interrupted", "verb": "Resume", "look": "expiring"}
    if pending.queued:
        return {"state": "Waits for another import", "verb": "Watch", "look": "issued"}
    match pending.state:
        case PendingImport.State.CHECKING | PendingImport.State.IMPORTING:
            return {"state": progress_of(pending), "verb": "Watch", "look": "issued"}
        case PendingImport.State.CHECKED:
            good = pending.report.get("good", 0)
            state = f"{good:,} key{'' if good == 1 else 's'} to confirm" if good else "Nothing to add"
            return {"state": state, "verb": "Review", "look": "expiring"}
        case PendingImport.State.FAILED:
            state = "Has a question" if "question" in pending.report else "Needs a fix"
            return {"state": state, "verb": "Review", "look": "expired"}
    return {"state": "Not looked at yet", "verb": "Preview", "look": "expiring"}
