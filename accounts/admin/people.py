"""The parts that the pages of the team and of customers share: both show users, changed by the rule of rank."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin.actions import ConfirmedAction, actor_of, operator_of
from accounts.admin.base import ConsoleAdmin, ConsoleForm
from accounts.models import User
from accounts.passwords import PASSWORD_HELP
from accounts.permissions import Change, may_change
from accounts.services import change_user


def new_password_field(label: str, help_text: str) -> forms.CharField:
    """The field of a `PersonForm` that sets a password.

    Args:
        help_text: the consequences, shown after the rules of passwords.
    """
    return forms.CharField(
        required=False,
        strip=False,
        label=label,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"{PASSWORD_HELP} {help_text}",
    )


class PersonForm(ConsoleForm):
    """A form of a user with a field `new_password`, which stays empty unless the password should change."""

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("new_password"):
            self.instance.set_password(values["new_password"])
        return values

    def _update_errors(self, errors: Any) -> None:
        if "password" in getattr(errors, "error_dict", {}):
            errors.error_dict["new_password"] = errors.error_dict.pop("password")
        super()._update_errors(errors)


class StatusFilter(admin.SimpleListFilter):
    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("blocked", "Blocked")]

    def queryset(self, request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
        match self.value():
            case "active":
                return users.filter(banned=None)
            case "blocked":
                return users.filter(banned__isnull=False)
        return users


class PeopleAdmin(ConsoleAdmin):
    """Users, for operators with the permissions of `User` whose rank permits the change."""

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return operator_of(request).has_perm("accounts.view_user") or self.has_change_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return operator_of(request).has_perm("accounts.add_user")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = operator_of(request).has_perm("accounts.change_user")
        return allowed and (obj is None or may_change(actor_of(request), obj))

    def may_run(self, request: HttpRequest, row: User, action: ConfirmedAction) -> bool:
        return may_change(actor_of(request), row, action.change)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save a user by the service that also revokes tokens and ends sessions.

        Raises:
            PermissionDenied: the operator's rank does not permit the change.
        """
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
