"""Groups of customers, licenses and machines, with their limits and owners."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Field, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.admin.account_choice import AccountChoice
from accounts.admin.actions import RowAction
from accounts.admin.base import ConsoleForm, format_time
from accounts.admin.customers import user_link
from accounts.audit import AuditContext
from accounts.group_owners import attach_owners, detach_owners
from accounts.models import Group, User
from keygen_site.db.bounded_counts import BoundedCount
from keygen_site.db.uuids import parse_uuid
from licensing.models import License, Machine

MAX_COUNTED_MEMBERS = 1_000  # of each kind, in the list
MAX_COUNTED_MEMBERS_OF_PAGE = 20_000  # of each kind, on the page of a group, unless its limit is higher
MAX_SHOWN_MEMBERS = 10  # of each kind, on the page of a group
MAX_OWNERS = 100
MEMBERS: dict[str, type[Any]] = {"users": User, "licenses": License, "machines": Machine}
_SEPARATOR = re.compile(r"[\s,;]+")


def describe_use(count: int, limit: int | None, bound: int) -> str:
    """How many members of a kind a group has, of how many.

    Args:
        count: exact up to `bound`, otherwise any greater number.
        bound: the greatest number that was counted exactly.
    """
    number = f"{bound:,}+" if count > bound else f"{count:,}"
    return number if limit is None else f"{number} of {limit:,}"


class EmailsField(forms.CharField):
    """A list of emails, one on each line."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"})
        super().__init__(required=False, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        return list(dict.fromkeys(filter(None, _SEPARATOR.split((value or "").lower()))))

    def has_changed(self, initial: Any, data: Any) -> bool:
        before, after = self.to_python(initial), self.to_python(data)
        return set(before) != set(after)


class GroupForm(ConsoleForm):
    """A group and its owners. Only the owners that the operator added or removed change."""

    owners = EmailsField(
        label="Owners",
        show_hidden_initial=True,
        help_text="The emails of users, one on each line. Owners may read in the API what is in the group.",
    )

    added: list[UUID]  # the owners to attach and to detach, set by `clean()`
    removed: list[UUID]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "owners" in self.fields and not self.instance._state.adding:
            owners = self.instance.owners.order_by("user__email").values_list("user__email", flat=True)
            self.initial["owners"] = list(owners[:MAX_OWNERS])  # the others stay

    def clean(self) -> dict[str, Any] | None:
        values = super().clean()
        field: Any = self.fields["owners"]
        before = set(field.to_python(self.data.get(self.add_initial_prefix("owners"), "")))
        after = set(self.cleaned_data.get("owners", []))
        account = self.account_of(self.cleaned_data) if self.instance._state.adding else self.instance.account
        users = User.objects.filter(account=account, email__in=before ^ after).values_list("email", "pk")
        found = dict(users) if account else {}
        if unknown := sorted(after - before - found.keys()):
            self.add_error("owners", [f"No user has the email {email}." for email in unknown[:5]])
        elif len(after) > MAX_OWNERS:
            self.add_error("owners", f"At most {MAX_OWNERS} owners can be set here.")
        owning = set()
        if not self.instance._state.adding:
            owning = set(self.instance.owners.values_list("user", flat=True))
        self.added = [pk for email, pk in found.items() if email in after and pk not in owning]
        self.removed = [pk for email, pk in found.items() if email in before and pk in owning]
        return values


class RemoveGroup(RowAction):
    """Deletes groups. Their members stay, without a group."""

    name, label, past_tense, permission = "remove", "Delete", "Deleted", "accounts.delete_group"
    danger = True

    def title(self, rows: Sequence[Group]) -> str:
        return f"Delete the group {rows[0]}?" if len(rows) == 1 else super().title(rows)

    def consequences(self, rows: Sequence[Group]) -> list[str]:
        whose = "Its" if len(rows) == 1 else "Their"
        stay = f"{whose} customers, licenses and machines stay, without a group."
        return [f"{stay} {whose} owners may not read them any more.", "This cannot be undone."]

    def apply(self, row: Group, audit: AuditContext, values: dict[str, Any]) -> None:
        row.delete()

    def next_page(self, admin: Any, rows: Sequence[Group]) -> str:
        return admin.changelist_url()


@admin.register(Group)
class GroupAdmin(AccountChoice):
    """The groups of an account. Customers, licenses and machines enter them on their own pages."""

    form = GroupForm
    menu_name = "Groups"
    hint = "No groups yet. A group limits how many customers, licenses and machines may be in it."
    confirmed_actions = [RemoveGroup()]
    list_display = ["name", "users", "licenses", "machines", "since"]
    list_select_related = ["account"]
    search_fields = ["name"]
    search_help_text = "Part of the name"
    fieldsets = [
        (None, {"fields": ["account", "name", "max_users", "max_licenses", "max_machines", "owners"]}),
        ("More", {"fields": ["metadata"], "classes": ["collapse"]}),
    ]
    change_form_template = "admin/accounts/group/change_form.html"

    LABELS = {
        "max_users": "Customers, at most",
        "max_licenses": "Licenses, at most",
        "max_machines": "Machines, at most",
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        counts = {
            f"{name}_count": BoundedCount(
                model.objects.filter(group=OuterRef("pk")).order_by().values("pk")[: MAX_COUNTED_MEMBERS + 1]
            )
            for name, model in MEMBERS.items()
        }
        return super().get_queryset(request).annotate(**counts)

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **options: Any) -> forms.Field | None:
        formfield = super().formfield_for_dbfield(db_field, request, **options)
        if formfield and db_field.name in self.LABELS:
            formfield.label, formfield.help_text = self.LABELS[db_field.name], "Empty: no limit."
        return formfield

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            (_, first), *_ = fieldsets
            first["fields"] = [*first["fields"][:-1], "owners_of"]  # `owners` of the form is no field of the model
        return fieldsets

    @admin.display(description="owners")
    def owners_of(self, group: Group) -> str:
        owners = group.owners.order_by("user__email").values_list("user__email", flat=True)[:MAX_OWNERS]
        return format_html_join(", ", "<bdi>{}</bdi>", ((email,) for email in owners)) or "–"

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        """Save a group and its owners.

        Raises:
            ValidationError: an owner is gone since the form was checked.
        """
        if not change:
            obj.validate_and_save()
        elif fields := [name for name in form.changed_data if name != "owners"]:
            obj.save_changes(*fields)
        if form.added:
            attach_owners(obj, form.added)
        if form.removed:
            detach_owners(obj, form.removed)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        group = uuid and super().get_queryset(request).filter(pk=uuid).first()
        context = {"members": self._members_of(request, group)} if group else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def _members_of(self, request: HttpRequest, group: Group) -> list[dict[str, Any]]:
        """The members of each kind that the operator may see: how many, the newest ones, and where all are."""
        kinds: list[tuple[str, str, str, QuerySet[Any]]] = [
            ("users", "Customers", "accounts_customer", group.users.all()),  # type: ignore[attr-defined]
            ("licenses", "Licenses", "licensing_license", group.licenses.select_related("owner", "product")),  # type: ignore[attr-defined]
            ("machines", "Machines", "licensing_machine", group.machines.select_related("license")),  # type: ignore[attr-defined]
        ]
        found = []
        for name, title, page, rows in kinds:
            model = MEMBERS[name]
            if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
                continue
            limit = getattr(group, f"max_{name}")
            bound = max(MAX_COUNTED_MEMBERS_OF_PAGE, limit or 0)
            count = rows.order_by().values("pk")[: bound + 1].count()
            newest = rows[:MAX_SHOWN_MEMBERS] if count else []
            found.append(
                {
                    "title": title,
                    "use": describe_use(count, limit, bound),
                    "is_full": limit is not None and count >= limit,
                    "rows": [self._link(page, row) for row in newest],
                    "has_more": count > MAX_SHOWN_MEMBERS,
                    "list_url": f"{reverse(f'admin:{page}_changelist')}?group={group.pk}",
                }
            )
        return found

    def _link(self, page: str, row: Any) -> str:
        if isinstance(row, User):
            return user_link(row)
        owner = format_html(' <bdi class="quiet">{}</bdi>', row.owner) if isinstance(row, License) and row.owner else ""
        return format_html(
            '<span><a href="{}"><bdi>{}</bdi></a>{}</span>', reverse(f"admin:{page}_change", args=[row.pk]), row, owner
        )

    # Columns ---------------------------------------------------------------------------------------------------------

    @admin.display(description="customers")
    def users(self, group: Any) -> str:
        return describe_use(group.users_count, group.max_users, MAX_COUNTED_MEMBERS)

    @admin.display(description="licenses")
    def licenses(self, group: Any) -> str:
        return describe_use(group.licenses_count, group.max_licenses, MAX_COUNTED_MEMBERS)

    @admin.display(description="machines")
    def machines(self, group: Any) -> str:
        return describe_use(group.machines_count, group.max_machines, MAX_COUNTED_MEMBERS)

    @admin.display(description="created", ordering="id")
    def since(self, group: Group) -> str:
        return format_time(group.created)
