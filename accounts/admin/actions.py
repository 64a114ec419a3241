"""Actions of operators on rows, each with a page that explains the consequences first."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.options import Options
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.audit import AuditContext
from accounts.bearers import Bearer
from accounts.models import Activity, User
from accounts.permissions import Change
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.text import is_one_line

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin


# The events of the activity by the name of an action. An action with an empty one records itself; others are recorded
# as a change, in the words of their button.
EVENTS = {
    "suspend": Activity.Event.SUSPENDED,
    "reinstate": Activity.Event.REINSTATED,
    "renew": Activity.Event.RENEWED,
    "revoke": Activity.Event.REVOKED,
    "ban": Activity.Event.BANNED,
    "unban": Activity.Event.UNBANNED,
    "reset-second-factor": Activity.Event.SECOND_FACTOR_OFF,
    "rotate-signing-keys": Activity.Event.KEYS_ROTATED,
    "token": "",
    "deactivate": Activity.Event.DELETED,
    "reset-heartbeat": Activity.Event.HEARTBEAT_RESET,
    "remove": Activity.Event.DELETED,
    "group": "",
    "entitlements": "",
}


class ConfirmedAction(ABC):
    """An admin action with a confirmation page.

    Attributes:
        name: the name in the URL.
        label: the text of the button.
        past_tense: the text in the history of the row and in the message afterwards.
        permission: the permission of the operator that it needs.
        change: the kind of change to a user or to the bearer of a token, for the rule of rank.
        for_many: whether the list offers it for several rows.
        danger: whether it cannot be undone.
        in_header: whether the page of a row has a button for it at the top; otherwise it has a link where it fits.
        runs_once: whether its form runs once, in one transaction. Not needed if a repetition changes nothing.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    past_tense: ClassVar[str] = ""
    permission: ClassVar[str] = ""
    change: ClassVar[Change] = Change.PROFILE
    for_many: ClassVar[bool] = True
    danger: ClassVar[bool] = False
    in_header: ClassVar[bool] = True
    runs_once: ClassVar[bool] = True
    form_class: ClassVar[type[forms.Form]] = forms.Form
    template: ClassVar[str] = "admin/act.html"

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the operator has the permission."""
        return operator_of(request).has_perm(self.permission)

    def applies_to(self, row: Any) -> bool:
        """Whether the action makes sense in the present state of a row."""
        return True

    def unsafe_because(self, row: Any) -> str:
        """The reason why the action would be refused in the present state of a row, or "".

        A sentence with the alternative. Pages show it in place of the button.
        """
        return ""

    def form_options(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Keyword arguments of the form."""
        return {}

    def forbidden_fields(self, request: HttpRequest) -> Sequence[str]:
        """The fields of the form that the operator may not use."""
        return ()

    def title(self, rows: Sequence[Any]) -> str:
        """The title of the page."""
        if len(rows) == 1:
            return f"{self.label}?"
        return f"{self.label} {len(rows):,} {rows[0]._meta.verbose_name_plural}?"

    def button(self, rows: Sequence[Any]) -> str:
        """The text of the button that runs it, e.g. "Retire 3 keys"."""
        return self.title(rows).removesuffix("?") if len(rows) > 1 else self.label

    def consequences(self, rows: Sequence[Any]) -> list[str]:
        """Sentences about the consequences."""
        return []

    @abstractmethod
    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        """Run the action on all rows, report the outcome, and return the next page."""

    def record(self, row: Any, audit: AuditContext) -> None:
        """Record in the activity that the action changed a row, unless the ledger of keys has it."""
        event = EVENTS.get(self.name)
        if row.in_ledger or event == "":
            return
        if event is None:
            Activity.objects.record(Activity.Event.CHANGED, row, audit, details={"what": self.label})
        else:
            Activity.objects.record(event, row, audit)


class RowAction(ConfirmedAction):
    """An action that calls one service for each row, in a transaction of its own."""

    @abstractmethod
    def apply(self, row: Any, audit: AuditContext, values: dict[str, Any]) -> None:
        """Run the action on one row, which is locked.

        Raises:
            DomainError, ValidationError: a rule refuses it.
        """

    def change_row(self, row: Any, audit: AuditContext, values: dict[str, Any]) -> str:
        """Lock a row and run the action on it. Returns why it is not done, e.g. by a rule, or an empty text."""
        try:
            with transaction.atomic():
                row.lock_first()
                locked = type(row)._default_manager.select_for_update(of=("self",)).filter(pk=row.pk).first()
                if locked is None:
                    return "was deleted meanwhile"
                self.apply(locked, audit, values)
                self.record(row, audit)
        except (DomainError, ValidationError) as error:
            return error.detail if isinstance(error, DomainError) else "; ".join(error.messages)
        return ""

    def result(self, changed: int, opts: "Options[Any]") -> str:
        """The message after the action, e.g. "3 keys retired"."""
        return (
            f"{changed:,} {opts.verbose_name if changed == 1 else opts.verbose_name_plural} {self.past_tense.lower()}"
        )

    def result_of_one(self, row: Any) -> str:
        """The message after the action on one row."""
        return f"{self.past_tense}: {row}"

    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        """Apply the action to each row, report the outcome, and return the next page."""
        refused: dict[str, int] = {}
        audit = audit_context_of(request, values.get("reference", ""))
        for row in rows:
            if reason := self.change_row(row, audit, values):
                refused[reason] = refused.get(reason, 0) + 1
        if refused and len(rows) == 1:
            raise DomainError(f"{rows[0]} {next(iter(refused))}")
        changed = len(rows) - sum(refused.values())
        if changed:
            done = self.result_of_one(rows[0]) if len(rows) == 1 else self.result(changed, admin.opts)
            admin.message_user(request, f"{done}.")
        for reason, number in refused.items():
            admin.message_user(request, f"{number:,} unchanged: {reason}.", messages.WARNING)
        return HttpResponseRedirect(self.next_page(admin, rows))

    def next_page(self, admin: "ConsoleAdmin", rows: Sequence[Any]) -> str:
        """The URL of the next page: the row's page, or the list."""
        return admin.change_url(rows[0]) if len(rows) == 1 else admin.changelist_url()


class ReferenceForm(forms.Form):
    """Asks for the operator's reference, which is stored in the ledger."""

    reference = forms.CharField(
        max_length=255, required=False, help_text="Order number, ticket or name. You can search for it later."
    )

    def clean_reference(self) -> str:
        reference = self.cleaned_data["reference"].strip()
        if not is_one_line(reference):
            raise ValidationError("must be one line of text")
        return reference


def operator_of(request: HttpRequest) -> User:
    """The user who is signed in to the console."""
    return cast(User, request.user)  # the console requires a sign-in


def actor_of(request: HttpRequest) -> Bearer:
    """The operator who sends a request to the console, for the rule of rank."""
    return operator_of(request).as_bearer()


def audit_context_of(request: HttpRequest, reference: str = "") -> AuditContext:
    """The operator and the reference, for the ledger."""
    operator, request_id = operator_of(request), request.id  # type: ignore[attr-defined]
    return AuditContext(operator=operator.email, operator_id=operator.pk, request_id=request_id, reference=reference)
