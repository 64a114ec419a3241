"""Actions of operators on the unused keys of an import: undo it, move them, retire them.

An import may have millions of keys: each request changes some of them for SECONDS, and a page goes on with the rest.
After any interruption, no key is changed twice, and the action can be started again.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from accounts.admin.actions import ConfirmedAction, ReferenceForm, audit_context_of, operator_of
from accounts.audit import AuditContext
from licensing.models import Policy
from pools.admin.actions import WithdrawForm
from pools.admin.import_forms import PoolField
from pools.models import KeyImport
from pools.services.import_changes import ImportChange, move_import, undo_import, withdraw_import
from pools.services.import_outlook import BatchCounts, count_batch

SECONDS = 3.0
_INTERNAL_FIELDS = ("csrfmiddlewaretoken", "done")


def counts_of(key_import: KeyImport) -> BatchCounts:
    """The numbers of keys of an import, counted once for each object."""
    if not hasattr(key_import, "batch_counts"):
        key_import.batch_counts = count_batch(key_import)  # type: ignore[attr-defined]
    counts: BatchCounts = key_import.batch_counts  # type: ignore[attr-defined]
    return counts


def say_keys(number: int, more: bool = False, kind: str = "") -> str:
    """For example `1 key`, `20 unused keys`, `100,000 or more unused keys`."""
    some = f"{number:,} or more" if more else f"{number:,}"
    return f"{some} {kind}{' ' if kind else ''}key{'' if number == 1 and not more else 's'}"


class BatchAction(ConfirmedAction):
    """An action on the unused keys of an import."""

    permission = "pools.withdraw_key"
    for_many = False
    runs_once = False  # a repetition changes the rest

    def applies_to(self, key_import: KeyImport) -> bool:
        return self.count(key_import) > 0 or counts_of(key_import).more

    def count(self, key_import: KeyImport) -> int:
        """The number of keys that it would change, counted up to a bound."""
        return counts_of(key_import).available

    def say_count(self, key_import: KeyImport) -> str:
        return say_keys(self.count(key_import), counts_of(key_import).more, "unused")

    @abstractmethod
    def button(self, rows: Sequence[KeyImport]) -> str: ...

    def offer(self, key_import: KeyImport) -> str:
        """The text of the link on the page of the import."""
        return self.button([key_import])

    @abstractmethod
    def change_keys(self, key_import: KeyImport, audit: AuditContext, values: Mapping[str, Any]) -> ImportChange:
        """Change keys for SECONDS."""

    @abstractmethod
    def report(self, changed: int) -> str:
        """The message afterwards."""

    def target(self, key_import: KeyImport, values: Mapping[str, Any]) -> KeyImport:
        """The import whose page is next."""
        return key_import

    def run(
        self, admin: Any, request: HttpRequest, imports: Sequence[KeyImport], values: Mapping[str, Any]
    ) -> HttpResponse:
        (key_import,) = imports
        result = self.change_keys(key_import, audit_context_of(request, values["reference"]), values)
        done = _number(request.POST.get("done", "")) + result.changed
        if not result.is_complete:
            left = self.count(key_import)
            context = {
                **admin.admin_site.each_context(request),
                "title": f"{self.label}: {done:,} keys so far",
                "key_import": key_import,
                "back": admin.change_url(key_import),
                "section": admin.section,
                "list_url": admin.changelist_url(),
                "done": done,
                "total": done + left,
                "values": [(name, value) for name, value in request.POST.items() if name not in _INTERNAL_FIELDS],
            }
            return TemplateResponse(request, "admin/pools/keyimport/continue.html", context)
        message = self.report(done)
        if result.disclosed and isinstance(self, UndoImport):
            message += f" {say_keys(result.disclosed)} stayed in the pool, because they have been seen."
        admin.message_user(request, message)
        return HttpResponseRedirect(admin.change_url(self.target(key_import, values)))


class UndoImport(BatchAction):
    name, label, past_tense, danger = "undo", "Undo import", "Undone", True
    form_class = ReferenceForm

    def applies_to(self, key_import: KeyImport) -> bool:
        return counts_of(key_import).removable > 0 or counts_of(key_import).more

    def count(self, key_import: KeyImport) -> int:
        return counts_of(key_import).removable

    def button(self, rows: Sequence[KeyImport]) -> str:
        return f"Remove {self.say_count(rows[0])}"

    def offer(self, key_import: KeyImport) -> str:
        return f"Undo import: remove {self.say_count(key_import)}"

    def consequences(self, imports: Sequence[KeyImport]) -> list[str]:
        return [
            f"{self.say_count(imports[0])} will be removed from the pool. You can import them again later, "
            "here or into another pool.",
            "Keys that were handed out, shown or exported stay as they are.",
        ]

    def change_keys(self, key_import: KeyImport, audit: AuditContext, values: Mapping[str, Any]) -> ImportChange:
        return undo_import(key_import=key_import, audit=audit, seconds=SECONDS)

    def report(self, changed: int) -> str:
        return f"Import undone: {say_keys(changed)} removed."


class MoveForm(ReferenceForm):
    """Asks for the pool that gets the keys."""

    destination = PoolField(label="Move to")

    field_order = ["destination", "reference"]

    def __init__(self, *args: Any, pools: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["destination"]
        field.offer(pools)


class MoveImport(BatchAction):
    name, label, past_tense = "move", "Move to another pool", "Moved"
    form_class = MoveForm

    def is_allowed(self, request: HttpRequest) -> bool:
        return super().is_allowed(request) and operator_of(request).has_perm("pools.add_keyimport")

    def form_options(self, imports: Sequence[KeyImport]) -> dict[str, Any]:
        pools = Policy.objects.filter(account=imports[0].account_id, use_pool=True)
        return {"pools": pools.exclude(pk=imports[0].policy_id)}

    def button(self, rows: Sequence[KeyImport]) -> str:
        return f"Move {self.say_count(rows[0])}"

    def consequences(self, imports: Sequence[KeyImport]) -> list[str]:
        return [
            f"{self.say_count(imports[0])} will move to the pool that you choose. It hands out the oldest keys first.",
            "Keys that were handed out or retired stay in this import.",
        ]

    def change_keys(self, key_import: KeyImport, audit: AuditContext, values: Mapping[str, Any]) -> ImportChange:
        return move_import(key_import=key_import, destination=values["destination"], audit=audit, seconds=SECONDS)

    def report(self, changed: int) -> str:
        return f"{say_keys(changed)} moved. This is their import in the other pool."

    def target(self, key_import: KeyImport, values: Mapping[str, Any]) -> KeyImport:
        moved = KeyImport.objects.filter(policy=values["destination"], moved_from=key_import)
        return moved.first() or key_import


class RetireRest(BatchAction):
    name, label, past_tense, danger = "withdraw", "Retire unused keys", "Retired", True
    form_class = WithdrawForm

    def button(self, rows: Sequence[KeyImport]) -> str:
        return f"Retire {self.say_count(rows[0])}"

    def consequences(self, imports: Sequence[KeyImport]) -> list[str]:
        return [
            f"{self.say_count(imports[0])} will never be handed out, and can't be imported again. "
            "This is permanent: to use them elsewhere, undo or move the import instead.",
            "Keys that were handed out stay as they are.",
        ]

    def change_keys(self, key_import: KeyImport, audit: AuditContext, values: Mapping[str, Any]) -> ImportChange:
        return withdraw_import(key_import=key_import, audit=audit, reason=values["reason"], seconds=SECONDS)

    def report(self, changed: int) -> str:
        return f"{say_keys(changed)} retired."


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else 0
