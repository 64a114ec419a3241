"""Moving customers, licenses and machines to a group, or out of their group."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import RowAction, operator_of
from accounts.audit import AuditContext
from accounts.models import Activity, Group, GroupMember
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError


class GroupForm(forms.Form):
    group = forms.ChoiceField(required=False)

    def __init__(self, data: Any, *, choices: list[tuple[str, str]], initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        self.fields["group"].choices = choices  # type: ignore[attr-defined]


class ChangeGroup(RowAction):
    """Moves rows to a group, or out of their groups. A full group takes no further ones."""

    name, label, past_tense, permission = "group", "Change group", "Moved", "accounts.change_group"
    in_header = False
    form_class = GroupForm

    def form_options(self, rows: Sequence[GroupMember]) -> dict[str, Any]:
        first: Any = rows[0]
        groups = Group.objects.filter(account=first.account_id).order_by("name", "pk")
        present = str(first.group_id or "") if len(rows) == 1 else ""
        choices = [("", "No group"), *((str(pk), name) for pk, name in groups.values_list("pk", "name"))]
        return {"choices": choices, "initial": {"group": present}}

    def title(self, rows: Sequence[GroupMember]) -> str:
        if len(rows) == 1:
            return f"Group of {rows[0]}"
        return f"Change the group of {len(rows):,} {rows[0]._meta.verbose_name_plural}"

    def button(self, rows: Sequence[GroupMember]) -> str:
        return "Save"

    def consequences(self, rows: Sequence[GroupMember]) -> list[str]:
        noun = _noun_of(rows[0])
        lines = [f"A group takes no more than its limit of {noun}s. Its owners may read what is in it."]
        if noun != "machine":
            follow = "licenses and machines" if noun == "user" else "machines"
            lines.append(f"New {follow} enter the group, too. Those that exist already stay where they are.")
        return lines

    def apply(self, row: Any, audit: AuditContext, values: dict[str, Any]) -> None:
        group = None
        if uuid := parse_uuid(values["group"]):
            group = Group.objects.filter(pk=uuid, account=row.account_id).first()
            if group is None:
                raise DomainError("cannot enter a group of another account, or one that was deleted")
        if row.group_id == (group and group.pk):
            return
        try:
            row.change_group(group)
        except ValidationError as error:
            if group is None or "group" not in error.error_dict:
                raise
            noun = _noun_of(row)
            limit = group.limit_of(noun)
            limited = f"{limit:,} {noun}{'' if limit == 1 else 's'}"
            raise DomainError(f"cannot enter {group}: its limit is {limited}") from None
        details: Activity.Details = {"to": group.name if group else ""}
        Activity.objects.record(Activity.Event.GROUP_CHANGED, row, audit, details=details)

    def result_of_one(self, row: Any) -> str:
        return f"Group of {row} changed"


def _noun_of(row: Any) -> str:
    return str(row._meta.concrete_model._meta.verbose_name)


def group_link(request: HttpRequest, group: Group | None) -> str:
    """The name of a group, as a link if the operator may open its page; empty without a group."""
    if group is None:
        return ""
    if not operator_of(request).has_perm("accounts.view_group"):
        return format_html("<bdi>{}</bdi>", group)
    return format_html('<a href="{}"><bdi>{}</bdi></a>', reverse("admin:accounts_group_change", args=[group.pk]), group)
