"""Actions of operators on rows, each with a page that first says what will happen."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.audit import AuditContext
from accounts.bearers import Bearer
from accounts.models import User
from accounts.permissions import Change
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.text import is_one_line

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin


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
        runs_once: whether its form runs once, in one transaction. Not needed if a repetition changes nothing.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    past_tense: ClassVar[str] = ""
    permission: ClassVar[str] = ""
    change: ClassVar[Change] = Change.PROFILE
    for_many: ClassVar[bool] = True
    danger: ClassVar[bool] = False
    runs_once: ClassVar[bool] = True
    form_class: ClassVar[type[forms.Form]] = forms.Form
    template: ClassVar[str] = "admin/act.html"

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the operator has the permission."""
        return operator_of(request).has_perm(self.permission)

    def applies_to(self, row: Any) -> bool:
        """Whether the action makes sense in the present state of a row."""
        return True

    def form_options(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Keyword arguments of the form."""
        return {}

    def title(self, rows: Sequence[Any]) -> str:
        """The title of the page."""
        return f"{self.label}?" if len(rows) == 1 else f"{self.label}: {len(rows):,}?"

    def consequences(self, rows: Sequence[Any]) -> list[str]:
        """The sentences that say what will happen."""
        return []

    @abstractmethod
    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        """Run the action on all rows, report the outcome, and return the next page."""


class RowAction(ConfirmedAction):
    """An action that calls one service for each row, in a transaction of its own."""

    @abstractmethod
    def apply(self, row: Any, audit: AuditContext, values: dict[str, Any]) -> None:
        """Run the action on one row, which is locked.

        Raises:
            DomainError, ValidationError: a rule refuses it.
        """

    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        """Apply the action to each row, report the outcome, and return the next page."""
        refused: dict[str, list[Any]] = {}
        audit = audit_context_of(request, values.get("reference", ""))
        for row in rows:
            try:
                with transaction.atomic():
                    locked = type(row)._default_manager.select_for_update(of=("self",)).get(pk=row.pk)
                    self.apply(locked, audit, values)
            except (DomainError, ValidationError) as error:
                reason = error.detail if isinstance(error, DomainError) else "; ".join(error.messages)
                refused.setdefault(reason, []).append(row)
        if refused and len(rows) == 1:
            raise DomainError(f"{rows[0]} {next(iter(refused))}")
        changed = len(rows) - sum(map(len, refused.values()))
        if changed:
            admin.message_user(request, f"{self.past_tense}: {rows[0] if len(rows) == 1 else f'{changed:,}'}.")
        for reason, some in refused.items():
            admin.message_user(request, f"Left as they are: {len(some):,}, which {reason}.", messages.WARNING)
        return HttpResponseRedirect(self.next_page(admin, rows))

    def next_page(self, admin: "ConsoleAdmin", rows: Sequence[Any]) -> str:
        """The URL of the next page: the row's page, or the list."""
        return admin.change_url(rows[0]) if len(rows) == 1 else admin.changelist_url()


class ReferenceForm(forms.Form):
    """Asks for the operator's reference, which is stored in the ledger."""

    reference = forms.CharField(
        max_length=255, required=False, help_text="For the ledger: an order number, a ticket, a name."
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
