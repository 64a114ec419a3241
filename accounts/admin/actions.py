"""What operators do with rows, on pages that say first what will happen."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from accounts.audit import AuditContext
from accounts.bearers import Bearer
from accounts.models import User
from accounts.permissions import Change
from keygen_site.jsonapi.errors import DomainError


class ConfirmedAction:
    """One thing that may be done to rows: a page that says what will happen to how many, a button, a service.

    Attributes:
        name: in the address.
        label: on the button.
        done: what happened, for the history of the row and the message afterwards.
        permission: who may.
        change: what the act does to a user or to the bearer of a token, for the rule of rank.
        for_many: whether it is offered for several rows at once.
        danger: whether it cannot be undone.
        once: whether its form acts once, in one transaction. Not needed where doing it again changes nothing.
    """

    name = label = done = permission = ""
    change = Change.PROFILE
    for_many = True
    danger = False
    once = True
    form_class = forms.Form
    template = "admin/act.html"

    def is_allowed(self, request):
        return request.user.has_perm(self.permission)

    def applies_to(self, row):
        """Whether it makes sense for a row as it is now."""
        return True

    def form_options(self, rows):
        return {}

    def title(self, rows):
        return f"{self.label}?" if len(rows) == 1 else f"{self.label}: {len(rows):,}?"

    def consequences(self, rows):
        """What will happen, in sentences."""
        return []

    def apply(self, row, audit, values):
        """Do it to one row, which is held.

        Raises:
            DomainError, ValidationError: it is refused.
        """
        raise NotImplementedError

    def do(self, admin, request, rows, values):
        """Do it to each row, say what came of it, and answer with the page to go on with."""
        refused = {}
        audit = audit_context_of(request, values.get("reference", ""))
        for row in rows:
            try:
                with transaction.atomic():
                    held = type(row)._default_manager.select_for_update(of=("self",)).get(pk=row.pk)
                    self.apply(held, audit, values)
            except (DomainError, ValidationError) as error:
                reason = error.detail if isinstance(error, DomainError) else "; ".join(error.messages)
                refused.setdefault(reason, []).append(row)
        if refused and len(rows) == 1:
            raise DomainError(f"{rows[0]} {next(iter(refused))}")
        good = len(rows) - sum(map(len, refused.values()))
        if good:
            admin.message_user(request, f"{self.done}: {rows[0] if len(rows) == 1 else f'{good:,}'}.")
        for reason, some in refused.items():
            admin.message_user(request, f"Left as they are: {len(some):,}, which {reason}.", messages.WARNING)
        return HttpResponseRedirect(self.next_page(admin, rows))

    def next_page(self, admin, rows):
        """Where to go on afterwards: the row's page, or the list."""
        name = f"admin:{admin.opts.app_label}_{admin.opts.model_name}"
        return reverse(f"{name}_change", args=[rows[0].pk]) if len(rows) == 1 else reverse(f"{name}_changelist")


class ReferenceForm(forms.Form):
    """What an act is for; the ledger keeps it."""

    reference = forms.CharField(
        max_length=255, required=False, help_text="For the ledger: an order number, a ticket, a name."
    )

    def clean_reference(self):
        reference = self.cleaned_data["reference"].strip()
        if not reference.isprintable():
            raise ValidationError("must be one line of text")
        return reference


def actor_of(request: HttpRequest) -> Bearer:
    """The operator who sends a request to the console, for the rule of rank."""
    assert isinstance(request.user, User)  # the console lets nobody else in
    return request.user.as_bearer()


def audit_context_of(request, reference=""):
    """Whence an act in the console comes, for the ledger."""
    return AuditContext(operator=request.user.email, request_id=request.id, reference=reference)
