from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts.console import Act, ConsoleAdmin, ConsoleForm, OfferedOnly, ReadOnlyAdmin, actor_of, moment
from accounts.console.once import Shown, form_id, once, sent_before
from accounts.console.tokens import MakeToken
from accounts.models import Account, Token, User
from accounts.permissions import Change, may_change
from accounts.roles import RANKS
from accounts.services import change_user, create_account


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


class Ban(Act):
    name, label, done, permission, danger = "ban", "Ban", "Banned", "accounts.change_user", True
    change = Change.BAN

    def fits(self, user):
        return user.banned is None

    def consequences(self, users):
        return ["Nobody gets in as them any more: neither the console, nor the API with any of their tokens."]

    def apply(self, user, origin, values):
        user.ban()


class Unban(Act):
    name, label, done, permission = "unban", "Unban", "Unbanned", "accounts.change_user"
    change = Change.UNBAN

    def fits(self, user):
        return user.banned is not None

    def consequences(self, users):
        return ["They may sign in again, and their tokens work again."]

    def apply(self, user, origin, values):
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

    def may_act_on(self, request: HttpRequest, user: Any, act: Act) -> bool:
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


class Revoke(Act):
    name, label, done, permission, danger = "revoke", "Revoke", "Revoked", "accounts.delete_token", True
    change = Change.REVOKE

    def consequences(self, tokens):
        return ["Requests with it are refused at once. It cannot be brought back."]

    def apply(self, token, origin, values):
        token.delete()

    def next_page(self, admin, rows):
        return reverse("admin:accounts_token_changelist")


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """What authenticates in the API. Tokens are made on the page of whom they speak for, and shown once."""

    acts = [Revoke()]
    hint = "There is no token yet. Make one on the page of a product or a user."
    list_display = ["label", "kind", "speaks_for", "expires", "since"]
    list_select_related = ["account"]
    search_fields = ["name"]
    fields = ["name", "kind", "speaks_for", "expires", "since"]
    readonly_fields = ["name", "kind", "speaks_for", "expires", "since"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_roles().prefetch_related("bearer")

    def may_act_on(self, request: HttpRequest, token: Any, act: Act) -> bool:
        return may_change(actor_of(request), token.bearer, act.change)

    @admin.display(description="name", ordering="name")
    def label(self, token):
        return token.name or "(no name)"

    @admin.display(description="kind")
    def kind(self, token):
        return token.kind.replace("-", " ")

    @admin.display(description="speaks for")
    def speaks_for(self, token):
        if token.bearer is None:
            return ""
        opts = token.bearer._meta
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[token.bearer_id])
        return format_html('<a href="{}">{}</a>', address, token.bearer)

    @admin.display(description="expires", ordering="expiry")
    def expires(self, token):
        return moment(token.expiry) if token.expiry else "never"

    @admin.display(description="made", ordering="id")
    def since(self, token):
        return moment(token.created)


class AccountForm(ConsoleForm):
    admin_email = forms.EmailField(
        required=False,
        help_text="Of its first admin, who gets a token that is shown on the next page, for a few minutes.",
    )

    def clean(self):
        values = super().clean()
        if self.instance._state.adding and not values.get("admin_email"):
            self.add_error("admin_email", "can't be blank")
        return values


@admin.register(Account)
class AccountAdmin(ConsoleAdmin):
    """The tenants: for superusers."""

    form = AccountForm
    account_path = "pk"
    list_display = ["name", "slug", "status", "since"]
    list_filter = ["status"]
    search_fields = ["name", "slug"]
    fields = ["name", "slug", "status", "protected"]

    def get_fields(self, request, account=None):
        return self.fields if account else [*self.fields, "admin_email"]

    def has_module_permission(self, request):
        return request.user.is_superuser

    def has_view_permission(self, request, obj=None):
        return request.user.is_superuser

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_change_permission(self, request, account=None):
        return request.user.is_superuser

    def save_model(self, request, account, form, change):
        if change:
            super().save_model(request, account, form, change)
            return
        values = {name: form.cleaned_data[name] for name in self.fields}
        made, form.first_admin, form.token = create_account(**values, email=form.cleaned_data["admin_email"])
        account.pk = made.pk
        request.made = form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make an account, once for each form that is opened."""
        if answer := sent_before(request):
            return answer
        add = partial(super().add_view, request, form_url, {"once": form_id(request), **(extra_context or {})})
        return once(request, add) if request.method == "POST" else add()

    def response_add(self, request: Any, account: Account, post_url_continue: str | None = None) -> Shown:
        made = request.made
        return Shown(
            title=f"A token for {made.first_admin}", text=made.token, section=str(self.opts.verbose_name_plural)
        )

    @admin.display(description="since", ordering="id")
    def since(self, account):
        return moment(account.created)


admin.site.unregister(Group)


@admin.register(Group)
class ConsoleGroupAdmin(OfferedOnly, GroupAdmin):
    """What people may do in the console: for superusers."""
