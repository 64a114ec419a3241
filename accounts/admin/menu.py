"""The console's menu: the entries of the setting CONSOLE_MENU that an operator may open."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.admin.actions import operator_of


@dataclass(frozen=True)
class MenuEntry:
    """An entry of the menu.

    Attributes:
        name: the name of its URL.
        is_current: whether the page of the request belongs to it.
    """

    title: str
    name: str
    url: str
    is_current: bool


def console_menu(request: HttpRequest) -> list[list[MenuEntry]]:
    """The groups of the menu, without the entries that the operator may not open."""
    match = request.resolver_match
    page = (match.url_name or "") if match else ""
    groups = [
        [
            MenuEntry(title, name, reverse(f"admin:{name}"), _belongs_to(page, name, others))
            for title, name, permission, others in group
            if _may_open(request, permission)
        ]
        for group in settings.CONSOLE_MENU
    ]
    return [group for group in groups if group]


def _may_open(request: HttpRequest, permission: str) -> bool:
    if permission == "superuser":
        return operator_of(request).is_superuser
    return not permission or operator_of(request).has_perm(permission)


def _belongs_to(page: str, name: str, others: Sequence[str]) -> bool:
    """Whether a page is that of an entry, one of the same model, or one of the others that the entry names."""
    of_model = name.removesuffix("changelist")
    return page == name or (of_model != name and page.startswith(of_model)) or any(map(page.startswith, others))
