from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.actions import ConfirmedAction, RowAction, actor_of, operator_of
from accounts.admin.base import ConsoleAdmin, StrictAdmin, StrictChangeList, format_time
from accounts.admin.mailed_links import link_response
from accounts.admin.people import PeopleAdmin, PersonForm, StatusFilter, new_password_field
from accounts.admin.token_pages import MakeToken
from accounts.audit import AuditContext
from accounts.mail import can_send_mail
from accounts.models import Invitation, User
from accounts.password_reset import RESET_TOKEN_LIFETIME, make_console_link
from accounts.permissions import Change, may_change, may_give_access
from accounts.roles import RANKS
from accounts.search import SearchScope, find_users
from accounts.second_factors import remove_second_factor
from accounts.services import set_console_access
from keygen_site.jsonapi.errors import DomainError

NO_ACCESS = "none"
# Descriptions of the groups of the console.
GROUP_HELP = {
    "Operator": "pools, keys, licenses, products, API tokens, and the team.",
    "Support": "looks things up, suspends and renews licenses.",
    "Auditor": "sees everything but full keys, and changes nothing.",
}


class UserForm(PersonForm):
    new_superuser = forms.BooleanField(
        required=False,
        label="Superuser",
        help_text="Belongs to no account, and sees and changes everything of all accounts in the console.",
    )
    new_password = new_password_field(
        "New password",
        "If empty, the password stays; a new user then has none. "
        "A new password signs the user out, and revokes their API tokens.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "account" not in self.fields:  # only superusers choose it, and only for a new user
            del self.fields["new_superuser"]

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if "account" in self.fields and "account" not in self.errors:
            if values.get("new_superuser"):
                if values.get("account"):
                    self.add_error("new_superuser", "A superuser belongs to no account: leave the account empty.")
            elif not values.get("account"):
                self.add_error("account", "Choose the account of the user, or tick “Superuser”.")
        return values

    def _post_clean(self) -> None:
        if self.instance._state.adding:
            self.instance.is_superuser = bool(self.cleaned_data.get("new_superuser"))
        super()._post_clean()


class Ban(RowAction):
    name, label, past_tense, permission, danger = "ban", "Block", "Blocked", "accounts.change_user", True
    change = Change.BAN

    def applies_to(self, row: User) -> bool:
        return row.banned is None

    def consequences(self, rows: Sequence[User]) -> list[str]:
        return [
            "Blocks sign-in and all their API tokens.",
            "They are signed out of the console. You can unblock them later; they then sign in again.",
        ]

    def apply(self, row: User, audit: AuditContext, values: dict[str, Any]) -> None:
        row.ban()


class Unban(RowAction):
    name, label, past_tense, permission = "unban", "Unblock", "Unblocked", "accounts.change_user"
    change = Change.UNBAN

    def applies_to(self, row: User) -> bool:
        return row.banned is not None

    def consequences(self, rows: Sequence[User]) -> list[str]:
        return ["They can sign in again, and their API tokens work again."]

    def apply(self, row: User, audit: AuditContext, values: dict[str, Any]) -> None:
        row.unban()


class ResetSecondFactor(RowAction):
    """Removes the second factor of another user, who lost the device and the recovery codes."""

    name, label, past_tense = "reset-second-factor", "Reset second factor", "Reset the second factor"
    permission, danger, for_many = "accounts.change_user", True, False
    change = Change.SECOND_FACTOR

    def applies_to(self, row: User) -> bool:
        return row.enabled_second_factor is not None

    def consequences(self, rows: Sequence[User]) -> list[str]:
        lines = [
            "Make sure that the request is theirs, for example by a call: a thief of the password asks for the same.",
            "They sign in with their password only, until they set up another second factor. They are signed out.",
        ]
        return [*lines, "They get a mail about it."] if can_send_mail() else lines

    def apply(self, row: User, audit: AuditContext, values: dict[str, Any]) -> None:
        if not remove_second_factor(row, reset_by=audit.actor):
            raise DomainError("has no second factor")


def console_link_response(
    admin: ConsoleAdmin, request: HttpRequest, user: User, *, done: str, back: str
) -> HttpResponse:
    """The response after a user got access to the console, who now chooses a password by a link."""
    fresh = User.objects.select_related("account").get(pk=user.pk)
    until = timezone.now() + RESET_TOKEN_LIFETIME
    link = make_console_link(fresh)
    return link_response(admin, request, email=fresh.email, link=link, until=until, done=done, back=back)


class ConsoleAccessForm(forms.Form):
    """Asks for a group of the console, or none."""

    access = forms.ChoiceField(
        label="Access",
        choices=[*((name, f"{name}: {text}") for name, text in GROUP_HELP.items()), (NO_ACCESS, "No access")],
        widget=forms.RadioSelect,
    )


class ConsoleAccess(ConfirmedAction):
    """Gives a colleague access to the console, changes the group, or removes the access."""

    name, label, past_tense = "access", "Console access", "Changed the access to the console"
    permission, for_many = "accounts.change_user", False
    change = Change.CONSOLE
    form_class = ConsoleAccessForm

    def form_options(self, rows: Sequence[User]) -> dict[str, Any]:
        groups = [group.name for group in rows[0].groups.all()] if rows[0].is_staff else [NO_ACCESS]
        return {"initial": {"access": groups[0] if len(groups) == 1 else None}}

    def title(self, rows: Sequence[User]) -> str:
        return f"Console access of {rows[0]}"

    def button(self, rows: Sequence[User]) -> str:
        return "Save access"

    def consequences(self, rows: Sequence[User]) -> list[str]:
        return [
            "Giving or removing access signs them out, and revokes their API tokens.",
            "People who get access choose a new password by a link. Their old password stops working.",
        ]

    def run(
        self, admin: ConsoleAdmin, request: HttpRequest, rows: Sequence[User], values: dict[str, Any]
    ) -> HttpResponse:
        user, name = rows[0], values["access"]
        group = Group.objects.filter(name=name).first()
        if group is None and name != NO_ACCESS:
            raise DomainError(f"There is no group {name}: a superuser can create it.")
        if group and not may_give_access(operator_of(request), user.role, group):
            raise DomainError("You can only give access that allows no more than your own.")
        has_gained_access = set_console_access(user, group)
        done = f"{user} may now use the console as {group}." if group else f"{user} may no longer use the console."
        back = admin.change_url(user)
        if has_gained_access:
            return console_link_response(admin, request, user, done=done, back=back)
        admin.message_user(request, done)
        return HttpResponseRedirect(back)


class ConsoleAccessFilter(admin.BooleanFieldListFilter):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "console access"


class TeamList(StrictChangeList):
    """The list shows the team. Customers have a list of their own; the pages of users serve both."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        rows: Any = super().get_queryset(request, exclude_parameters)
        if operator_of(request).is_superuser:  # no index orders the teams of all accounts
            return rows.filter(pk__in=User.objects.team().order_by().values("pk"))
        return rows.team()


@admin.register(User)
class UserAdmin(PeopleAdmin):
    """The team of an account, changed by the rule of rank of the API. Admins decide who may use the console."""

    form = UserForm
    confirmed_actions = [ConsoleAccess(), MakeToken(), Ban(), Unban(), ResetSecondFactor()]
    menu_name = "Team"
    hint = "There are no people in the team yet."
    list_display = ["email", "name", "role", "access", "factor", "signed_in", "state"]
    list_filter = ["role", ("is_staff", ConsoleAccessFilter), StatusFilter]
    search_fields = ["email", "first_name", "last_name"]
    readonly_fields = ["created_at", "state", "access", "factor", "signed_in"]
    fieldsets = [
        (None, {"fields": ["account", "new_superuser", "email", "first_name", "last_name", "role", "new_password"]}),
        ("Console", {"fields": ["is_staff", "groups", "access", "factor", "signed_in"]}),
        ("More", {"fields": ["metadata", "state", "created_at"], "classes": ["collapse"]}),
    ]

    def get_search_results(self, request: HttpRequest, users: Any, text: str) -> tuple[Any, bool]:
        if not text.strip():
            return users, False
        return users.filter(pk__in=find_users(SearchScope.of(operator_of(request)), text.strip()).ids), False

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("account", "second_factor")
        return rows.defer("second_factor__secret").prefetch_related("groups")

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[TeamList]:
        return TeamList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_invite = operator_of(request).has_perm("accounts.add_user")
        pending = self.restrict_to_account(Invitation.objects.all(), request)
        context = {"may_invite": may_invite, "pending": pending.count() if may_invite else 0}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets: Any = [(title, dict(options)) for title, options in super().get_fieldsets(request, obj)]
        hidden = {"new_superuser"} if obj else {"access", "factor", "signed_in", "state", "created_at"}
        hidden |= (
            {"access"} if operator_of(request).is_superuser else {"account", "new_superuser", "is_staff", "groups"}
        )
        if obj and not self.has_change_permission(request, obj):
            hidden.add("new_password")
        if obj and obj.pk == operator_of(request).pk:
            hidden.add("new_password")
            fieldsets[0][1]["description"] = "Your own password: “Change password”, in the menu at the top right."
        for _, options in fieldsets:
            options["fields"] = [name for name in options["fields"] if name not in hidden]
        return [each for each in fieldsets if each[1]["fields"]]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        names = [*super().get_readonly_fields(request, obj)]
        if obj:
            names.append("account")
            if not may_change(actor_of(request), obj, Change.EMAIL):
                names.append("email")
            if obj.pk == operator_of(request).pk:
                names.append("new_password")  # only the page that asks for the old password changes it
        return names if operator_of(request).is_superuser else [*names, "is_staff", "groups"]

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(db_field, request, widget=forms.CheckboxSelectMultiple, **kwargs)

    def formfield_for_choice_field(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        operator = operator_of(request)
        if db_field.name == "role" and not operator.is_superuser:
            own = RANKS[operator.role]
            kwargs["choices"] = [(role, label) for role, label in db_field.choices if RANKS[role] <= own]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def may_run(self, request: HttpRequest, row: User, action: ConfirmedAction) -> bool:
        return self.has_change_permission(request) and super().may_run(request, row, action)

    @admin.display(description="name")
    def name(self, user: User) -> str:
        return format_html("<bdi>{}</bdi>", " ".join(filter(None, [user.first_name, user.last_name])))

    @admin.display(description="console access")
    def access(self, user: User) -> str:
        if not user.is_staff:
            return ""
        groups = [group.name for group in user.groups.all()]
        return "Superuser" if user.is_superuser else ", ".join(groups) or "Sign-in only"

    @admin.display(description="second factor")
    def factor(self, user: User) -> str:
        return "On" if user.enabled_second_factor else ("Off" if user.is_staff else "")

    @admin.display(description="last sign-in", ordering="last_login")
    def signed_in(self, user: User) -> str:
        return format_time(user.last_login) if user.last_login else ("Never" if user.is_staff else "")

    @admin.display(description="status")
    def state(self, user: User) -> str:
        if user.banned is None:
            return format_html('<span class="state state-active">{}</span>', "Active")
        return format_html('<span class="state state-banned">{}</span> {}', "Blocked", format_time(user.banned))

    @admin.display(description="created", ordering="id")
    def created_at(self, user: User) -> str:
        return format_time(user.created)


admin.site.unregister(Group)


@admin.register(Group)
class ConsoleGroupAdmin(StrictAdmin, GroupAdmin):
    """Groups of permissions in the console: for superusers."""

    filter_horizontal = ()  # the two-pane chooser is not accessible
