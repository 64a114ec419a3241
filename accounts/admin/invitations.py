"""Invitations to the team: the list of the pending ones, and the pages that send, resend and revoke them."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.actions import ConfirmedAction, RowAction, operator_of
from accounts.admin.add_pages import AddPage
from accounts.admin.base import ConsoleAdmin, ReadOnlyAdmin, format_time
from accounts.admin.form_once import run_form_once
from accounts.admin.mailed_links import link_response
from accounts.audit import AuditContext
from accounts.errors import TooManyRequests
from accounts.invitations import (
    InvitationRefused,
    TeamRole,
    invite,
    make_link,
    resend_invitation,
    role_label,
    roles_to_give,
)
from accounts.mail import can_send_mail
from accounts.models import Account, Invitation, User
from accounts.models.users import validate_email
from accounts.permissions import may_give_access
from keygen_site.jsonapi.errors import DomainError

TOO_MANY = "Your account has sent too many invitations. Try again in an hour."


class InviteForm(forms.Form):
    """Asks for the email and the role of a new colleague."""

    account = forms.ModelChoiceField(Account.objects.none())
    email = forms.CharField(
        max_length=255,
        validators=[validate_email],
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
        error_messages={"invalid": "Enter an email such as ann@example.com."},
    )
    role = forms.ChoiceField(widget=forms.RadioSelect)

    def __init__(self, data: Any, operator: User, roles: Sequence[tuple[TeamRole, Group]]) -> None:
        super().__init__(data)
        if operator.is_superuser:
            self.fields["account"].queryset = Account.objects.all()  # type: ignore[attr-defined]
        else:
            del self.fields["account"]
        self.roles = {each.name: (each, group) for each, group in roles}
        self.fields["role"].choices = [(each.name, _describe(each)) for each, _ in roles]  # type: ignore[attr-defined]

    def clean_role(self) -> tuple[TeamRole, Group]:
        return self.roles[self.cleaned_data["role"]]


def _describe(role: TeamRole) -> SafeString:
    return format_html('<strong>{}</strong> <span class="quiet">{}</span>', role.label, role.help)


def sent_response(admin: ConsoleAdmin, request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """The response after an invitation was made or renewed."""
    return link_response(
        admin,
        request,
        email=invitation.email,
        link=make_link(invitation),
        until=invitation.expires,
        done=f"{invitation.email} is invited.",
        back=admin.changelist_url(),
    )


class Resend(ConfirmedAction):
    """Makes a new link, and mails it."""

    name, label, past_tense, permission = "resend", "Resend", "Resent the invitation", "accounts.add_user"
    for_many = False

    def title(self, rows: Sequence[Invitation]) -> str:
        return f"Resend the invitation to {rows[0]}?"

    def consequences(self, rows: Sequence[Invitation]) -> list[str]:
        return [
            "The link that was sent before stops working.",
            "They get a new link by mail."
            if can_send_mail()
            else "The next page shows a new link, for you to pass on.",
        ]

    def run(
        self, admin: ConsoleAdmin, request: HttpRequest, rows: Sequence[Invitation], values: dict[str, Any]
    ) -> HttpResponse:
        locked = Invitation.objects.select_for_update().filter(pk=rows[0].pk).first()
        if locked is None:
            raise DomainError("This invitation was accepted or revoked.")
        try:
            return sent_response(admin, request, resend_invitation(locked, operator_of(request)))
        except TooManyRequests:
            raise DomainError(TOO_MANY) from None
        except ValidationError as error:
            raise DomainError(" ".join(error.messages)) from None


class RevokeInvitation(RowAction):
    """Deletes invitations: their links stop working."""

    name, label, past_tense, permission = "revoke", "Revoke", "Revoked the invitation", "accounts.add_user"
    danger = True

    def title(self, rows: Sequence[Invitation]) -> str:
        return f"Revoke the invitation of {rows[0]}?" if len(rows) == 1 else f"Revoke {len(rows):,} invitations?"

    def consequences(self, rows: Sequence[Invitation]) -> list[str]:
        return ["The link stops working. You can invite them again."]

    def apply(self, row: Invitation, audit: AuditContext, values: dict[str, Any]) -> None:
        row.delete()

    def result(self, changed: int, opts: Any) -> str:
        return f"{changed:,} invitation{'' if changed == 1 else 's'} revoked"

    def result_of_one(self, row: Invitation) -> str:
        return f"Invitation of {row} revoked"

    def next_page(self, admin: ConsoleAdmin, rows: Sequence[Any]) -> str:
        return admin.changelist_url()


@admin.register(Invitation)
class InvitationAdmin(AddPage, ReadOnlyAdmin):
    """Pending invitations, for operators who may add users. They handle those that they may give themselves."""

    confirmed_actions = [Resend(), RevokeInvitation()]
    menu_name = "Invitations"
    hint = "No invitation is pending. Those that were accepted are in the team."
    list_display = ["email", "gives", "invited_by", "sent_at", "state"]
    list_select_related = ["account", "group", "inviter"]
    search_fields = ["email"]
    fields = ["email", "gives", "invited_by", "sent_at", "state"]
    readonly_fields = ["email", "gives", "invited_by", "sent_at", "state"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return operator_of(request).has_perm("accounts.add_user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).has_perm("accounts.add_user")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # the list is a tab of the team

    def may_run(self, request: HttpRequest, row: Invitation, action: ConfirmedAction) -> bool:
        return may_give_access(operator_of(request), row.role, row.group)

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Invite a person."""
        operator = operator_of(request)
        roles = roles_to_give(operator)
        form = InviteForm(request.POST if request.method == "POST" else None, operator, roles)
        status, problem = 200, "" if roles else InvitationRefused.detail
        if form.is_valid():
            role, group = form.cleaned_data["role"]
            account = cast(Account, form.cleaned_data.get("account") or operator.account)
            email = form.cleaned_data["email"]

            def send() -> HttpResponse:
                invitation = invite(account=account, email=email, role=role.role, group=group, inviter=operator)
                self.log_addition(request, invitation, f"Invited as {role.label}")
                return sent_response(self, request, invitation)

            try:
                return run_form_once(request, send)
            except ValidationError as error:
                form.add_error("email", error.messages)
            except TooManyRequests as error:
                status, problem = error.status, TOO_MANY
            except DomainError as error:
                status, problem = 422, error.detail
        return self.render_add_page(
            request,
            form,
            title="Invite a colleague",
            button="Send invitation" if can_send_mail() else "Make invitation link",
            consequences=[_explain()],
            problem=problem,
            section="Team",
            list_url=self.team_url(),
            back=self.team_url(),
            status=status,
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        pending = self.get_queryset(request).count()
        context = {"title": "Team", "may_invite": True, "pending": pending, "is_pending": True}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def team_url(self) -> str:
        team: Any = self.admin_site._registry[User]
        return str(team.changelist_url())

    @admin.display(description="role")
    def gives(self, invitation: Invitation) -> str:
        return role_label(invitation.role, invitation.group.name)

    @admin.display(description="invited by")
    def invited_by(self, invitation: Invitation) -> str:
        return str(invitation.inviter)

    @admin.display(description="sent", ordering="sent")
    def sent_at(self, invitation: Invitation) -> str:
        return format_time(invitation.sent)

    @admin.display(description="status")
    def state(self, invitation: Invitation) -> str:
        if invitation.is_expired:
            return format_html('<span class="state state-expired">{}</span>', "Expired")
        return format_html(
            '<span class="state state-expiring">{}</span> until {}', "Open", format_time(invitation.expires)
        )


def _explain() -> str:
    if can_send_mail():
        return "They get a mail with a link to choose a password. It works once, for 7 days."
    return "This server cannot send mail: the next page shows a link for you to pass on. It works once, for 7 days."
