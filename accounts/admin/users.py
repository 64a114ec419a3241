from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.admin.actions import ConfirmedAction, actor_of
from accounts.admin.base import ConsoleAdmin, ConsoleForm, OfferedOnly, moment
from accounts.admin.token_pages import MakeToken
from accounts.models import User
from accounts.permissions import Change, may_change
from accounts.roles import RANKS
from accounts.services import change_user


class UserForm(ConsoleForm):
    new_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="6 to 72 characters. Empty: none, or the one there was. Another one revokes the person's tokens.",
    )

    def clean(self):
        values = super().clean()
        if values.get("new_password"):
            self.instance.set_password(values["new_password"])
        return values

    def _post_clean(self):
        if self.instance._state.adding:
            # Who belongs to no account operates the server.
            self.instance.is_superuser = self.account_of(self.cleaned_data) is None
        super()._post_clean()

    def _update_errors(self, errors):
        if "password" in getattr(errors, "error_dict", {}):
            errors.error_dict["new_password"] = errors.error_dict.pop("password")
        super()._update_errors(errors)


class Ban(ConfirmedAction):
    name, label, done, permission, danger = "ban", "Ban", "Banned", "accounts.change_user", True
    change = Change.BAN

    def applies_to(self, user):
        return user.banned is None

    def consequences(self, users):
        return ["Nobody gets in as them any more: neither the console, nor the API with any of their tokens."]

    def apply(self, user, audit, values):
        user.ban()


class Unban(ConfirmedAction):
    name, label, done, permission = "unban", "Unban", "Unbanned", "accounts.change_user"
    change = Change.UNBAN

    def applies_to(self, user):
        return user.banned is not None

    def consequences(self, users):
        return ["They may sign in again, and their tokens work again."]

    def apply(self, user, audit, values):
        user.unban()


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    """People of an account, changed by the rule of rank as in the API; a superuser decides who may use the console."""

    form = UserForm
    acts = [MakeToken(), Ban(), Unban()]
    list_display = ["email", "name", "role", "console", "is_let_in", "since"]
    list_select_related = ["account"]
    list_filter = ["role", "is_staff", ("banned", admin.EmptyFieldListFilter)]
    search_fields = ["email", "first_name", "last_name"]
    filter_horizontal = ["groups"]
    readonly_fields = ["since", "banned"]
    fieldsets = [
        (None, {"fields": ["account", "email", "first_name", "last_name", "role", "new_password"]}),
        ("Console", {"fields": ["is_staff", "groups"]}),
        ("More", {"fields": ["metadata", "banned", "since"], "classes": ["collapse"]}),
    ]

    def get_fieldsets(self, request, user=None):
        sets = [(title, dict(options)) for title, options in super().get_fieldsets(request, user)]
        if not request.user.is_superuser:
            sets[0][1]["fields"] = sets[0][1]["fields"][1:]
        return sets

    def get_readonly_fields(self, request, user=None):
        names = [*super().get_readonly_fields(request, user)]
        if user:
            names.append("account")
            if not may_change(actor_of(request), user, Change.EMAIL):
                names.append("email")
        return names if request.user.is_superuser else [*names, "is_staff", "groups"]

    def formfield_for_choice_field(self, field, request, **options):
        if field.name == "role" and not request.user.is_superuser:
            own = RANKS[request.user.role]
            options["choices"] = [(role, label) for role, label in field.choices if RANKS[role] <= own]
        return super().formfield_for_choice_field(field, request, **options)

    def has_change_permission(self, request, user=None):
        allowed = super().has_change_permission(request, user)
        return allowed and (user is None or may_change(actor_of(request), user))

    def may_act_on(self, request: HttpRequest, user: Any, act: ConfirmedAction) -> bool:
        return super().has_change_permission(request) and may_change(actor_of(request), user, act.change)

    def save_model(self, request, user, form, change):
        if not change:
            if not form.cleaned_data.get("new_password"):
                user.set_unusable_password()
            user.validate_and_save()
            return
        values = {name: form.cleaned_data[name] for name in form.changed_data if name not in ("groups", "new_password")}
        if form.cleaned_data.get("new_password"):
            values["password"] = form.cleaned_data["new_password"]
        held = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        kinds = [Change.PROFILE, *(kind for kind in (Change.EMAIL, Change.PASSWORD) if kind in values)]
        if not all(may_change(actor_of(request), held, kind) for kind in kinds):
            raise PermissionDenied
        change_user(held, values)

    @admin.display(description="name")
    def name(self, user):
        return user.full_name or ""

    @admin.display(description="console", boolean=True)
    def console(self, user):
        return user.is_staff

    @admin.display(description="let in", boolean=True)
    def is_let_in(self, user):
        return user.banned is None

    @admin.display(description="since", ordering="id")
    def since(self, user):
        return moment(user.created)


admin.site.unregister(Group)


@admin.register(Group)
class ConsoleGroupAdmin(OfferedOnly, GroupAdmin):
    """What people may do in the console: for superusers."""
