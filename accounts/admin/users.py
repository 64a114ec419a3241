from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.admin.actions import ConfirmedAction, RowAction, actor_of, operator_of
from accounts.admin.base import ConsoleAdmin, ConsoleForm, StrictAdmin, format_time
from accounts.admin.token_pages import MakeToken
from accounts.audit import AuditContext
from accounts.mail import can_send_mail
from accounts.models import User
from accounts.passwords import PASSWORD_HELP
from accounts.permissions import Change, may_change
from accounts.roles import RANKS
from accounts.second_factors import remove_second_factor
from accounts.services import change_user
from keygen_site.jsonapi.errors import DomainError


class UserForm(ConsoleForm):
    new_superuser = forms.BooleanField(
        required=False,
        label="Superuser",
        help_text="Belongs to no account, and sees and changes everything of all accounts in the console.",
    )
    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"{PASSWORD_HELP} Leave it empty to change nothing; a new user then has no password. "
        "A new password ends the user's sessions and revokes the user's tokens.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "account" not in self.fields:  # only superusers choose it, and only for a new user
            del self.fields["new_superuser"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if "account" in self.fields and "account" not in self.errors:
            if values.get("new_superuser"):
                if values.get("account"):
                    self.add_error("new_superuser", "A superuser belongs to no account: leave the account empty.")
            elif not values.get("account"):
                self.add_error("account", "Choose the account of the user, or tick “Superuser”.")
        if values.get("new_password"):
            self.instance.set_password(values["new_password"])
        return values

    def _post_clean(self) -> None:
        if self.instance._state.adding:
            self.instance.is_superuser = bool(self.cleaned_data.get("new_superuser"))
        super()._post_clean()

    def _update_errors(self, errors: Any) -> None:
        if "password" in getattr(errors, "error_dict", {}):
            errors.error_dict["new_password"] = errors.error_dict.pop("password")
        super()._update_errors(errors)


class Ban(RowAction):
    name, label, past_tense, permission, danger = "ban", "Ban", "Banned", "accounts.change_user", True
    change = Change.BAN

    def applies_to(self, row: User) -> bool:
        return row.banned is None

    def consequences(self, rows: Sequence[User]) -> list[str]:
        return [
            "They can't sign in any more, and their tokens stop working.",
            "Their sessions in the console end. After the ban is lifted, they have to sign in again.",
        ]

    def apply(self, row: User, audit: AuditContext, values: dict[str, Any]) -> None:
        row.ban()


class Unban(RowAction):
    name, label, past_tense, permission = "unban", "Unban", "Unbanned", "accounts.change_user"
    change = Change.UNBAN

    def applies_to(self, row: User) -> bool:
        return row.banned is not None

    def consequences(self, rows: Sequence[User]) -> list[str]:
        return ["They may sign in again, and their tokens work again."]

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
            "Make sure that it is them who ask, for example by a call: a thief of the password asks for the same.",
            "They sign in with their password only, until they set up another one. Their sessions in the console end.",
        ]
        return [*lines, "They get a mail about it."] if can_send_mail() else lines

    def apply(self, row: User, audit: AuditContext, values: dict[str, Any]) -> None:
        if not remove_second_factor(row, reset_by=audit.actor):
            raise DomainError("has no second factor")


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    """Users of an account, changed by the rule of rank of the API. Superusers decide who may use the console."""

    form = UserForm
    confirmed_actions = [MakeToken(), Ban(), Unban(), ResetSecondFactor()]
    list_display = ["email", "name", "role", "console", "is_let_in", "since"]
    list_select_related = ["account"]
    list_filter = ["role", "is_staff", ("banned", admin.EmptyFieldListFilter)]
    search_fields = ["email", "first_name", "last_name"]
    filter_horizontal = ["groups"]
    readonly_fields = ["since", "banned", "second_factor"]
    fieldsets = [
        (None, {"fields": ["account", "new_superuser", "email", "first_name", "last_name", "role", "new_password"]}),
        ("Console", {"fields": ["is_staff", "groups", "second_factor"]}),
        ("More", {"fields": ["metadata", "banned", "since"], "classes": ["collapse"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets: Any = [(title, dict(options)) for title, options in super().get_fieldsets(request, obj)]
        hidden = {"new_superuser"} if obj else set()
        if not operator_of(request).is_superuser:
            hidden |= {"account", "new_superuser"}
        if obj and obj.pk == operator_of(request).pk:
            hidden.add("new_password")
            fieldsets[0][1]["description"] = "Your own password: “Change password”, at the top of the page."
        fieldsets[0][1]["fields"] = [name for name in fieldsets[0][1]["fields"] if name not in hidden]
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        names = [*super().get_readonly_fields(request, obj)]
        if obj:
            names.append("account")
            if not may_change(actor_of(request), obj, Change.EMAIL):
                names.append("email")
            if obj.pk == operator_of(request).pk:
                names.append("new_password")  # only the page that asks for the old password changes it
        return names if operator_of(request).is_superuser else [*names, "is_staff", "groups"]

    def formfield_for_choice_field(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        operator = operator_of(request)
        if db_field.name == "role" and not operator.is_superuser:
            own = RANKS[operator.role]
            kwargs["choices"] = [(role, label) for role, label in db_field.choices if RANKS[role] <= own]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_change(actor_of(request), obj))

    def may_run(self, request: HttpRequest, row: User, action: ConfirmedAction) -> bool:
        return super().has_change_permission(request) and may_change(actor_of(request), row, action.change)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            if not form.cleaned_data.get("new_password"):
                obj.set_unusable_password()
            obj.validate_and_save()
            return
        values = {name: form.cleaned_data[name] for name in form.changed_data if name not in ("groups", "new_password")}
        if form.cleaned_data.get("new_password"):
            values["password"] = form.cleaned_data["new_password"]
        locked = User.objects.select_for_update(of=("self",)).get(pk=obj.pk)
        kinds = [Change.PROFILE, *(kind for kind in (Change.EMAIL, Change.PASSWORD) if kind in values)]
        if not all(may_change(actor_of(request), locked, kind) for kind in kinds):
            raise PermissionDenied
        change_user(locked, values)

    @admin.display(description="name")
    def name(self, user: User) -> str:
        return user.full_name or ""

    @admin.display(description="console", boolean=True)
    def console(self, user: User) -> bool:
        return user.is_staff

    @admin.display(description="second factor", boolean=True)
    def second_factor(self, user: User) -> bool:
        return user.enabled_second_factor is not None

    @admin.display(description="let in", boolean=True)
    def is_let_in(self, user: User) -> bool:
        return user.banned is None

    @admin.display(description="since", ordering="id")
    def since(self, user: User) -> str:
        return format_time(user.created)


admin.site.unregister(Group)


@admin.register(Group)
class ConsoleGroupAdmin(StrictAdmin, GroupAdmin):
    """Groups of permissions in the console: for superusers."""
